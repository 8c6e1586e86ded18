// What is not as it should be on a board: a badge for each, and on its own page what to do about it.
import type { Device } from '../../routes/shapes.ts'
import { FLAG_WORDS } from '../words.ts'
import { Pill } from './words.tsx'

type Flags = NonNullable<Device['flags']>

export const Flags = ({ flags = [] }: { flags?: Flags | undefined }) =>
  flags.length === 0 ? null : (
    <ul class="flags" aria-label="Warnings">
      {flags.map((flag) => (
        <li key={flag} title={FLAG_WORDS[flag].advice}>
          <Pill {...FLAG_WORDS[flag]} />
        </li>
      ))}
    </ul>
  )

export const FlagNotes = ({ flags = [] }: { flags?: Flags | undefined }) =>
  flags.length === 0 ? null : (
    <ul class="flag-notes" aria-label="Warnings">
      {flags.map((flag) => (
        <li key={flag}>
          <Pill {...FLAG_WORDS[flag]} /> {FLAG_WORDS[flag].advice}
        </li>
      ))}
    </ul>
  )
