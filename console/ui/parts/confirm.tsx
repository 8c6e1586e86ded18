// A question before something that many boards will do: what happens, where, and a way out.
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import type { Outcome } from '../api.ts'
import { Icon } from './icons.tsx'

export interface ConfirmProps {
  readonly title: string
  readonly action: string
  readonly children: ComponentChildren
  /** Closes the question when it went well; what went wrong is said in it. */
  readonly onConfirm: () => Promise<Outcome<unknown>>
  readonly onClose: () => void
}

export function Confirm({ title, action, children, onConfirm, onClose }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const problem = useSignal<string | undefined>(undefined)
  const busy = useSignal(false)
  useEffect(() => {
    if (dialog.current && !dialog.current.open) dialog.current.showModal()
  }, [])
  const close = () => dialog.current?.close()
  const confirm = async (event: SubmitEvent) => {
    event.preventDefault()
    busy.value = true
    const outcome = await onConfirm()
    busy.value = false
    problem.value = outcome.ok ? undefined : outcome.message
    if (outcome.ok) close()
  }
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="confirm-title" onClose={onClose}>
      <div class="dialog-head">
        <h2 id="confirm-title">{title}</h2>
        <button type="button" class="button quiet square" aria-label="Close" onClick={close}>
          <Icon name="cross" />
        </button>
      </div>
      <form class="confirm" onSubmit={(event) => void confirm(event)}>
        {children}
        <p class="note tone-bad confirm-problem" role="alert">
          {problem.value}
        </p>
        <div class="confirm-actions">
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={busy.value}>
            {busy.value ? 'One moment…' : action}
          </button>
        </div>
      </form>
    </dialog>
  )
}
