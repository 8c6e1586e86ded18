// A text to take along: shown whole, with a button that puts it on the clipboard and says so.
import { useSignal } from '@preact/signals'
import { useRef } from 'preact/hooks'
import { Icon } from './icons.tsx'

const SAID_FOR_MS = 2000

/** The clipboard needs https or this very computer; elsewhere the text is selected, ready for Ctrl+C. */
async function take(text: string, shown: HTMLElement | null): Promise<'Copied' | 'Selected, press Ctrl+C'> {
  try {
    await navigator.clipboard.writeText(text)
    return 'Copied'
  } catch {
    if (shown) getSelection()?.selectAllChildren(shown)
    return 'Selected, press Ctrl+C'
  }
}

export function CopyText({ text, label }: { text: string; label: string }) {
  const said = useSignal<string | undefined>(undefined)
  const shown = useRef<HTMLElement>(null)
  const copy = async () => {
    said.value = await take(text, shown.current)
    setTimeout(() => {
      said.value = undefined
    }, SAID_FOR_MS)
  }
  return (
    <div class="copy">
      <code ref={shown}>{text}</code>
      <button type="button" class="button" aria-label={`Copy ${label}`} onClick={() => void copy()}>
        <Icon name={said.value ? 'check' : 'copy'} />
        <span aria-live="polite">{said.value ?? 'Copy'}</span>
      </button>
    </div>
  )
}
