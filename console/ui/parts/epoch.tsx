// An epoch opens into its receipts and its payouts: every token can be followed from a frame to a transaction.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { EpochView, Rewards } from '../../routes/shapes.ts'
import type { EpochDetail } from '../api.ts'
import { plural } from '../quantities.ts'
import { api } from '../session.ts'
import { Empty, Loading } from './empty.tsx'
import { Payout } from './payout.tsx'
import { Receipts } from './receipts.tsx'
import { Amount, Moment, Pill } from './words.tsx'

function EpochBody({ epoch, cluster }: { epoch: EpochView; cluster: Rewards['cluster'] }) {
  const read = useSignal<EpochDetail | undefined>(undefined)
  const problem = useSignal<string | undefined>(undefined)
  useEffect(() => {
    void api.epoch(epoch.id).then((outcome) => {
      if (outcome.ok) read.value = outcome.value
      problem.value = outcome.ok ? undefined : outcome.message
    })
  }, [epoch.id, epoch.receipts])
  return (
    <div class="epoch-body">
      <h3>Payouts</h3>
      {epoch.payouts.length === 0 && (
        <p class="muted">
          {epoch.closedAt ? 'Nobody was owed enough for a payout.' : 'Payouts are made when the epoch closes.'}
        </p>
      )}
      {epoch.payouts.map((payout) => (
        <Payout key={payout.id} payout={payout} cluster={cluster} />
      ))}
      <h3>Receipts</h3>
      {problem.value && <p class="ink-bad">{problem.value}</p>}
      {!read.value && !problem.value && <Loading what="the receipts" />}
      {read.value?.receipts.length === 0 && <Empty title="No receipts in this epoch yet." />}
      {read.value && read.value.receipts.length > 0 && (
        <>
          <Receipts receipts={read.value.receipts} boards />
          {epoch.receipts > read.value.receipts.length && (
            <p class="muted">
              The newest {read.value.receipts.length} of {plural(epoch.receipts, 'receipt')}.
            </p>
          )}
        </>
      )}
    </div>
  )
}

export function Epoch({ epoch, cluster }: { epoch: EpochView; cluster: Rewards['cluster'] }) {
  const open = useSignal(false)
  return (
    <details
      class="epoch"
      onToggle={(event) => {
        open.value = event.currentTarget.open
      }}
    >
      <summary>
        <strong>Epoch {epoch.id}</strong>
        <Pill tone={epoch.closedAt ? 'calm' : 'busy'} label={epoch.closedAt ? 'Closed' : 'Open'} />
        <Amount units={epoch.amount} />
        <span>
          {plural(epoch.receipts, 'receipt')}, {plural(epoch.payouts.length, 'payout')}
        </span>
        <span class="muted">
          {epoch.closedAt ? 'closed ' : 'opened '}
          <Moment at={epoch.closedAt ?? epoch.openedAt} />
        </span>
      </summary>
      {open.value && <EpochBody epoch={epoch} cluster={cluster} />}
    </details>
  )
}
