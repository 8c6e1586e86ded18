// Earnings: from a receipt to a transaction, with the treasury and the ledger that have to agree.
import type { Rewards } from '../../routes/shapes.ts'
import { compareUnits } from '../amounts.ts'
import { CopyText } from '../parts/copy.tsx'
import { Statement } from '../parts/download.tsx'
import { Empty, Loading } from '../parts/empty.tsx'
import { Epoch } from '../parts/epoch.tsx'
import { MoneyFlow } from '../parts/flow.tsx'
import { LedgerPanel } from '../parts/ledger.tsx'
import { Requesters } from '../parts/requesters.tsx'
import { SettleButton } from '../parts/settle.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { WalletChanges } from '../parts/wallet-changes.tsx'
import { Amount, Digest } from '../parts/words.tsx'
import { formatCoverage } from '../quantities.ts'
import { rewards } from '../state.ts'

type Owner = Rewards['owners'][number]

const money = <Row,>(key: string, label: string, of: (row: Row) => string): Column<Row> => ({
  key,
  label,
  end: true,
  compare: (a, b) => compareUnits(of(a), of(b)),
  cell: (row) => <Amount units={of(row)} />,
})

const ownerColumns: readonly Column<Owner>[] = [
  {
    key: 'name',
    label: 'Owner',
    compare: (a, b) => a.name.localeCompare(b.name),
    cell: ({ name }) => <strong>{name}</strong>,
  },
  {
    key: 'wallet',
    label: 'Wallet',
    cell: ({ wallet, walletBalance }) =>
      wallet === undefined ? (
        <span class="ink-warn">No wallet named, so nothing can be paid out</span>
      ) : (
        <>
          <Digest text={wallet} keep={6} />
          <small class="muted">
            {walletBalance === undefined ? (
              'the chain did not answer'
            ) : (
              <>
                holds <Amount units={walletBalance} />
              </>
            )}
          </small>
        </>
      ),
  },
  { key: 'boards', label: 'Boards', end: true, cell: ({ boards }) => boards },
  money('pending', 'Pending', ({ pending }) => pending),
  {
    ...money<Owner>('payable', 'Payable', ({ payable }) => payable),
    cell: ({ payable, held }) => (
      <>
        <Amount units={payable} />
        {held !== undefined && <small class="ink-warn">{held}</small>}
      </>
    ),
  },
  money('in-payout', 'In payout', ({ inPayout }) => inPayout),
  money('paid', 'Paid', ({ paid }) => paid),
  { key: 'statement', label: 'Papers', end: true, cell: ({ id }) => <Statement payee={id} /> },
]

/** Below 1 the treasury could not pay everybody at once: the one number an operator must not miss. */
const Coverage = ({ treasury: { coverage, liabilities } }: { treasury: Rewards['treasury'] }) =>
  coverage === undefined ? (
    <p class="coverage">{liabilities === '0' ? 'nothing owed' : 'cover unknown'}</p>
  ) : (
    <p class={`coverage ${coverage >= 1 ? 'ink-ok' : 'ink-bad'}`}>covered {formatCoverage(coverage)}</p>
  )

const Treasury = ({ known }: { known: Rewards }) => (
  <section class="card" aria-label="Treasury">
    <div class="card-head">
      <h2>Treasury</h2>
      <Coverage treasury={known.treasury} />
    </div>
    <dl class="facts">
      <dt>Holds</dt>
      <dd>
        {known.treasury.balance === undefined ? 'the chain did not answer' : <Amount units={known.treasury.balance} />}
      </dd>
      <dt>Owes</dt>
      <dd>
        <Amount units={known.treasury.liabilities} />
      </dd>
      <dt>Operator fees</dt>
      <dd>
        <Amount units={known.operatorFees} />
      </dd>
      <dt>Royalties</dt>
      <dd>
        <Amount units={known.royalties} />
      </dd>
    </dl>
    <details class="json">
      <summary>Addresses</summary>
      <p class="muted">Treasury account</p>
      <CopyText text={known.treasury.address} label="the treasury address" />
      <p class="muted">Mint of {known.token.symbol}</p>
      <CopyText text={known.token.mint} label="the mint address" />
    </details>
  </section>
)

const Accounts = ({ known }: { known: Rewards }) => (
  <>
    <section>
      <h2 class="section-title">Owners</h2>
      <WalletChanges />
      {known.owners.length === 0 ? (
        <Empty title="Nobody owns a board yet." />
      ) : (
        <Table caption="Owners" columns={ownerColumns} rows={known.owners} keyOf={({ id }) => id} />
      )}
    </section>
    <section>
      <h2 class="section-title">Epochs</h2>
      {known.epochs.length === 0 && <Empty title="The first epoch opens with the first receipt." />}
      {known.epochs.map((epoch) => (
        <Epoch key={epoch.id} epoch={epoch} cluster={known.cluster} />
      ))}
    </section>
    <Requesters />
  </>
)

export function EarningsPage() {
  const known = rewards.value
  if (!known) return <Loading what="the accounts" />
  return (
    <>
      <div class="page-head">
        <h1>Earnings</h1>
        <SettleButton />
      </div>
      {known.troubles.map((trouble) => (
        <p key={trouble} class="note tone-bad" role="alert">
          {trouble}
        </p>
      ))}
      <MoneyFlow owners={known.owners} />
      <div class="pair">
        <Treasury known={known} />
        <LedgerPanel />
      </div>
      <Accounts known={known} />
    </>
  )
}
