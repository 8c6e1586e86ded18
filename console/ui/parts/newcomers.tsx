// The boards that came in since a token was made: waited for, then shown with what they do.
import { useRef } from 'preact/hooks'
import { paths } from '../addresses.ts'
import type { Enrollment } from '../api.ts'
import { devices } from '../state.ts'
import { DEVICE_WORDS } from '../words.ts'
import { Pill } from './words.tsx'

export function Newcomers({ since: { expiresAt } }: { since: Enrollment }) {
  const before = useRef(new Set(devices.peek()?.map(({ id }) => id)))
  const come = (devices.value ?? []).filter(({ id }) => !before.current.has(id))
  return (
    <section class="card panel" aria-label="New boards">
      <h2>New boards</h2>
      {come.length === 0 ? (
        <p class="muted waiting">
          Waiting for the first start; a board takes about a minute. The token is good until{' '}
          {new Date(expiresAt).toLocaleString()}.
        </p>
      ) : (
        <ul class="newcomers">
          {come.map(({ id, name, state, reason }) => (
            <li key={id}>
              <a class="row-link" href={paths.device(id)}>
                {name}
              </a>
              <Pill {...DEVICE_WORDS[state]} />
              <span class="reason">{reason}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}
