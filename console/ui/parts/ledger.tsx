// Whether the money adds up: asked on a click, answered line by line with the numbers.
import { useSignal } from '@preact/signals'
import type { LedgerCheck } from '../../routes/shapes.ts'
import { api } from '../session.ts'
import { Icon } from './icons.tsx'

const Lines = ({ check }: { check: LedgerCheck }) => (
  <>
    <p class={check.ok ? 'ink-ok' : 'ink-bad'}>
      <strong>
        {check.ok ? 'The money adds up.' : 'The money does not add up. Stop payouts and look at the lines below.'}
      </strong>
    </p>
    <ul class="checks">
      {check.checks.map(({ name, ok, detail }) => (
        <li key={name}>
          <span class={ok ? 'ink-ok' : 'ink-bad'}>
            <Icon name={ok ? 'check' : 'cross'} />
            <span class="unseen">{ok ? 'holds' : 'is broken'}</span>
          </span>
          <span>
            <span class="checks-name">{name}</span>
            <small class="muted">{detail}</small>
          </span>
        </li>
      ))}
    </ul>
  </>
)

export function LedgerPanel() {
  const check = useSignal<LedgerCheck | undefined>(undefined)
  const problem = useSignal<string | undefined>(undefined)
  const busy = useSignal(false)
  const run = async () => {
    busy.value = true
    const outcome = await api.checkLedger()
    busy.value = false
    problem.value = outcome.ok ? undefined : outcome.message
    if (outcome.ok) check.value = outcome.value
  }
  return (
    <section class="card" aria-label="Ledger check">
      <div class="card-head">
        <h2>Ledger</h2>
        <button type="button" class="button" disabled={busy.value} onClick={() => void run()}>
          {busy.value ? 'Checking…' : 'Check the ledger'}
        </button>
      </div>
      <div aria-live="polite">
        {problem.value && <p class="ink-bad">{problem.value}</p>}
        {check.value ? (
          <Lines check={check.value} />
        ) : (
          <p class="muted">Every transfer is summed and compared with the balances and the chain.</p>
        )}
      </div>
    </section>
  )
}
