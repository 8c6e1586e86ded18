// What a new board's owner is asked: how many, for how long, and, for a card, its name and the Wi-Fi it is to join.
import { useSignal } from '@preact/signals'
import type { Enrollment } from '../api.ts'
import type { Card } from '../card.ts'
import { api } from '../session.ts'
import { Icon } from './icons.tsx'

export interface BoardWish extends Pick<Card, 'name' | 'wifi'> {
  readonly uses: number
}

const HOURS = [
  { label: 'one hour', seconds: 3600 },
  { label: 'one day', seconds: 86_400 },
  { label: 'a week', seconds: 604_800 },
] as const

const TokenFields = () => (
  <div class="form">
    <label class="field">
      <span>Name</span>
      <input
        name="name"
        maxLength={63}
        pattern="[A-Za-z0-9]([A-Za-z0-9\-]*[A-Za-z0-9])?"
        title="Letters, digits and hyphens"
        placeholder="three words, if left empty"
        autocomplete="off"
      />
    </label>
    <label class="field">
      <span>Boards</span>
      <input name="uses" type="number" min="1" max="10000" value="1" required />
    </label>
    <label class="field">
      <span>Good for</span>
      <select name="expires">
        {HOURS.map(({ label, seconds }) => (
          <option key={seconds} value={seconds}>
            {label}
          </option>
        ))}
      </select>
    </label>
  </div>
)

/** The board reads the same rules in firmware-scripts/boot/enrolment-file.ts. */
const WifiFields = () => (
  <details class="more">
    <summary>Wi-Fi, for a board without a cable</summary>
    <div class="form">
      <label class="field">
        <span>Network</span>
        <input name="ssid" maxLength={32} autocomplete="off" />
      </label>
      <label class="field">
        <span>Password</span>
        <input name="password" type="password" minLength={8} maxLength={64} autocomplete="off" />
      </label>
      <label class="field">
        <span>Country</span>
        <input
          name="country"
          pattern="[A-Z]{2}"
          title="Two capital letters, as DE"
          placeholder="DE"
          autocomplete="off"
        />
      </label>
    </div>
    <p class="muted">It goes into the file only, never to the console.</p>
  </details>
)

function wishOf(fields: FormData): BoardWish {
  const said = (name: string): string | undefined => String(fields.get(name) ?? '') || undefined
  const [ssid, password, country] = [said('ssid'), said('password'), said('country')]
  const wifi = ssid === undefined ? undefined : { ssid, ...(password && { password }), ...(country && { country }) }
  return { uses: Number(fields.get('uses')), name: said('name'), wifi }
}

export function EnrolForm({ onMade }: { onMade: (made: Enrollment, wish: BoardWish) => void }) {
  const problem = useSignal<string | undefined>(undefined)
  const busy = useSignal(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    const fields = new FormData(event.currentTarget as HTMLFormElement)
    const wish = wishOf(fields)
    busy.value = true
    const expiresInS = Number(fields.get('expires'))
    const outcome = await api.enroll({ label: wish.name ?? 'board', uses: wish.uses, expiresInS })
    busy.value = false
    problem.value = outcome.ok ? undefined : outcome.message
    if (outcome.ok) onMade(outcome.value, wish)
  }
  return (
    <form class="card panel" aria-label="Add a board" onSubmit={(event) => void submit(event)}>
      <TokenFields />
      <WifiFields />
      <button type="submit" class="button primary" disabled={busy.value}>
        <Icon name="plus" />
        {busy.value ? 'Making a token…' : 'Make a token'}
      </button>
      {problem.value && (
        <p class="note tone-bad" role="alert">
          {problem.value}
        </p>
      )}
    </form>
  )
}
