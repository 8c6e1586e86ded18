// One number that matters, with its name above and what it means below.
import type { ComponentChildren } from 'preact'
import type { Tone } from '../words.ts'

export interface StatProps {
  readonly label: string
  readonly value: ComponentChildren
  readonly unit?: string | undefined
  readonly note?: ComponentChildren
  readonly tone?: Tone
  readonly wide?: boolean
  readonly children?: ComponentChildren
}

export const Stat = ({ label, value, unit, note, tone, wide, children }: StatProps) => (
  <section class={`card stat${wide ? ' stat-wide' : ''}`} aria-label={label}>
    <h2 class="stat-label">{label}</h2>
    <p class={`stat-value${tone ? ` ink-${tone}` : ''}`}>
      {value}
      {unit && <span class="unit"> {unit}</span>}
    </p>
    {note && <p class="stat-note">{note}</p>}
    {children}
  </section>
)
