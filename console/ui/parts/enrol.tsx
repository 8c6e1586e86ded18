// Letting a new board in: a token is made and the one line to run on the board is shown, once.
import { useSignal } from '@preact/signals'
import type { Enrollment } from '../api.ts'
import { api } from '../session.ts'
import { CopyText } from './copy.tsx'
import { Icon } from './icons.tsx'
import { Moment } from './words.tsx'

const Made = ({ made, uses }: { made: Enrollment; uses: number }) => (
  <div class="note tone-ok">
    <p>
      Run this on the board. The token is shown only now, lets {uses === 1 ? 'one board' : `${uses} boards`} in, and
      ends <Moment at={made.expiresAt} />.
    </p>
    <CopyText text={made.command} label="the command" />
    <p class="muted">The board appears in the list by itself, with a name of three words.</p>
  </div>
)

const HOURS = [
  { label: 'one hour', seconds: 3600 },
  { label: 'one day', seconds: 86_400 },
  { label: 'a week', seconds: 604_800 },
] as const

const Fields = () => (
  <>
    <label class="field">
      <span>Label</span>
      <input name="label" maxLength={64} placeholder="barn roof" autocomplete="off" />
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
  </>
)

export function EnrolPanel() {
  const made = useSignal<{ enrollment: Enrollment; uses: number } | undefined>(undefined)
  const problem = useSignal<string | undefined>(undefined)
  const busy = useSignal(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    const fields = new FormData(event.currentTarget as HTMLFormElement)
    const uses = Number(fields.get('uses'))
    busy.value = true
    const outcome = await api.enroll({
      label: String(fields.get('label') || 'board'),
      uses,
      expiresInS: Number(fields.get('expires')),
    })
    busy.value = false
    problem.value = outcome.ok ? undefined : outcome.message
    made.value = outcome.ok ? { enrollment: outcome.value, uses } : undefined
  }
  return (
    <section class="card panel" aria-label="Add a board">
      <form class="form" onSubmit={(event) => void submit(event)}>
        <Fields />
        <button type="submit" class="button primary" disabled={busy.value}>
          <Icon name="plus" />
          {busy.value ? 'Making a token…' : 'Make the command'}
        </button>
      </form>
      <div aria-live="polite">
        {problem.value && <p class="note tone-bad">{problem.value}</p>}
        {made.value && <Made made={made.value.enrollment} uses={made.value.uses} />}
      </div>
    </section>
  )
}
