// Who asks for work: what each has, where it pays in, and letting a new one in.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { compareUnits } from '../amounts.ts'
import type { Requesters as All } from '../api.ts'
import { api } from '../session.ts'
import { moneyMoves } from '../state.ts'
import { CopyText } from './copy.tsx'
import { Statement } from './download.tsx'
import { Empty, Loading } from './empty.tsx'
import { type Column, Table } from './table.tsx'
import { Amount, Digest, Moment, Pill } from './words.tsx'

type Requester = All[number]
type Allowance = NonNullable<Requester['allowance']>

const ALLOWANCE_WORDS = {
  good: { tone: 'ok', label: 'Allowance' },
  revoked: { tone: 'bad', label: 'Allowance revoked' },
  spent: { tone: 'warn', label: 'Allowance spent' },
  empty: { tone: 'warn', label: 'Account empty' },
} as const satisfies Record<Allowance['state'], object>

const AllowanceLine = ({ allowance }: { allowance: Allowance }) => (
  <small class="muted">
    <Pill {...ALLOWANCE_WORDS[allowance.state]} /> <Amount units={allowance.left} /> left to draw
  </small>
)

function PayIn({ requester }: { requester: Requester }) {
  const problem = useSignal<string | undefined>(undefined)
  const open = async () => {
    const outcome = await api.openDeposit(requester.id)
    problem.value = outcome.ok ? undefined : outcome.message
    if (outcome.ok) moneyMoves.value += 1
  }
  const { deposit } = requester
  if (deposit === undefined)
    return (
      <>
        <button type="button" class="button small" onClick={() => void open()}>
          Make a deposit address
        </button>
        {problem.value && <small class="ink-bad">{problem.value}</small>}
      </>
    )
  return (
    <details class="json in-cell">
      <summary>
        <Digest text={deposit.wallet} keep={6} />
      </summary>
      <p class="muted">Tokens sent to this wallet become budget once they are final.</p>
      <CopyText text={deposit.wallet} label="the deposit address" />
      {deposit.readAt && (
        <p class="muted">
          Last deposit read <Moment at={deposit.readAt} />
        </p>
      )}
    </details>
  )
}

const columns: readonly Column<Requester>[] = [
  {
    key: 'name',
    label: 'Requester',
    compare: (a, b) => a.name.localeCompare(b.name),
    cell: ({ name, allowance }) => (
      <>
        <strong>{name}</strong>
        {allowance && <AllowanceLine allowance={allowance} />}
      </>
    ),
  },
  { key: 'deposit', label: 'Pays in at', cell: (requester) => <PayIn requester={requester} /> },
  {
    key: 'budget',
    label: 'Budget left',
    end: true,
    compare: (a, b) => compareUnits(a.budget, b.budget),
    cell: ({ budget }) => <Amount units={budget} />,
  },
  { key: 'reserved', label: 'Reserved', end: true, cell: ({ reserved }) => <Amount units={reserved} /> },
  { key: 'statement', label: 'Papers', end: true, cell: ({ id }) => <Statement payee={`requester/${id}`} /> },
]

function AddRequester() {
  const made = useSignal<{ id: string; key: string } | undefined>(undefined)
  const problem = useSignal<string | undefined>(undefined)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    const form = event.currentTarget as HTMLFormElement
    const outcome = await api.addRequester({ id: String(new FormData(form).get('id')) })
    problem.value = outcome.ok ? undefined : outcome.message
    made.value = outcome.ok ? outcome.value : undefined
    if (!outcome.ok) return
    form.reset()
    moneyMoves.value += 1
  }
  return (
    <section class="card after-table" aria-label="Add a requester">
      <form class="form" onSubmit={(event) => void submit(event)}>
        <label class="field">
          <span>New requester</span>
          <input name="id" required pattern="[A-Za-z0-9_-]{1,64}" placeholder="gate-camera" autocomplete="off" />
        </label>
        <button type="submit" class="button">
          Make an API key
        </button>
      </form>
      <div aria-live="polite">
        {problem.value && <p class="note tone-bad">{problem.value}</p>}
        {made.value && (
          <div class="note tone-ok">
            <p>The key of {made.value.id}. It is shown only now.</p>
            <CopyText text={made.value.key} label="the key" />
          </div>
        )}
      </div>
    </section>
  )
}

export function Requesters() {
  const known = useSignal<All | undefined>(undefined)
  const problem = useSignal<string | undefined>(undefined)
  const moves = moneyMoves.value
  useEffect(() => {
    void api.requesters().then((outcome) => {
      if (outcome.ok) known.value = outcome.value
      problem.value = outcome.ok ? undefined : outcome.message
    })
  }, [moves])
  return (
    <section>
      <h2 class="section-title">Requesters</h2>
      {problem.value && <p class="ink-bad">{problem.value}</p>}
      {!known.value && !problem.value && <Loading what="the requesters" />}
      {known.value?.length === 0 && <Empty title="Nobody may ask the pool for work yet." />}
      {known.value && known.value.length > 0 && (
        <Table caption="Requesters" columns={columns} rows={known.value} keyOf={({ id }) => id} />
      )}
      <AddRequester />
    </section>
  )
}
