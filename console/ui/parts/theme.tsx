// Light or dark: the system's choice until somebody makes their own.
import { signal } from '@preact/signals'
import { Icon } from './icons.tsx'

type Theme = 'light' | 'dark'
const STORED_AS = 'bramble.theme'

const systemTheme = (): Theme => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')
const isTheme = (text: string | null): text is Theme => text === 'light' || text === 'dark'

/** What is drawn now; charts redraw when it changes, because a canvas knows no style sheet. */
export const theme = signal<Theme>('light')

function show(next: Theme, chosen: boolean): void {
  if (chosen) document.documentElement.dataset['theme'] = next
  theme.value = next
}

export function startTheme(): void {
  const stored = localStorage.getItem(STORED_AS)
  show(isTheme(stored) ? stored : systemTheme(), isTheme(stored))
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    if (!isTheme(localStorage.getItem(STORED_AS))) show(systemTheme(), false)
  })
}

export function ThemeToggle() {
  const next = theme.value === 'dark' ? 'light' : 'dark'
  const choose = () => {
    localStorage.setItem(STORED_AS, next)
    show(next, true)
  }
  return (
    <button type="button" class="button quiet square" aria-label={`Switch to ${next} colours`} onClick={choose}>
      <Icon name={next === 'dark' ? 'moon' : 'sun'} />
    </button>
  )
}
