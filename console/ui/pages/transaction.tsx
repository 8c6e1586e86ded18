// One transaction of the chain: what was called, who got what, and what it cost.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { Transaction } from '../api.ts'
import { CopyText } from '../parts/copy.tsx'
import { Empty, Loading } from '../parts/empty.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Amount, Digest, Moment, Pill } from '../parts/words.tsx'
import { plural } from '../quantities.ts'
import { api } from '../session.ts'
import { overview } from '../state.ts'

type Change = Transaction['changes'][number]

const changeColumns: readonly Column<Change>[] = [
  { key: 'owner', label: 'Wallet', cell: ({ owner }) => <Digest text={owner} keep={16} /> },
  { key: 'account', label: 'Token account', cell: ({ account }) => <Digest text={account} keep={6} /> },
  {
    key: 'units',
    label: 'Change',
    end: true,
    cell: ({ units, mint }) =>
      mint === overview.value?.token.mint ? <Amount units={units} /> : <>{units} base units of another token</>,
  },
]

const Facts = ({ told }: { told: Transaction }) => (
  <section class="card" aria-label="Facts">
    <div class="card-head">
      <h2>{told.error ? 'It failed' : 'It went through'}</h2>
      <Pill tone={told.error ? 'bad' : 'ok'} label={told.error ? 'failed' : 'done'} />
    </div>
    {told.error && <p class="note tone-bad">{told.error}</p>}
    <dl class="facts">
      <dt>When</dt>
      <dd>{told.at ? <Moment at={told.at} /> : 'not told by the chain'}</dd>
      <dt>Slot</dt>
      <dd>{told.slot}</dd>
      <dt>Fee</dt>
      <dd>{told.feeLamports} lamports</dd>
      <dt>Signed by</dt>
      <dd>
        {told.signers.map((signer) => (
          <Digest key={signer} text={signer} keep={16} />
        ))}
      </dd>
      {told.tables.length > 0 && (
        <>
          <dt>Lookup table</dt>
          <dd>
            {told.tables.map(({ address, accounts }) => (
              <span key={address}>
                {plural(accounts, 'account')} from <Digest text={address} keep={16} />
              </span>
            ))}
          </dd>
        </>
      )}
    </dl>
    <CopyText text={told.signature} label="the signature" />
  </section>
)

const Instructions = ({ told }: { told: Transaction }) => (
  <section class="card" aria-label="Instructions">
    <div class="card-head">
      <h2>{plural(told.instructions.length, 'instruction')}</h2>
    </div>
    <ol class="steps">
      {told.instructions.map(({ name, text, accounts }, place) => (
        <li key={`${place} ${name}`}>
          {name} {text && <code>{text}</code>}
          {accounts.length > 0 && (
            <details class="json">
              <summary>{plural(accounts.length, 'account')}</summary>
              <pre>{accounts.join('\n')}</pre>
            </details>
          )}
        </li>
      ))}
    </ol>
    <details class="json">
      <summary>What the programs logged</summary>
      <pre>{told.logs.join('\n')}</pre>
    </details>
  </section>
)

export function TransactionPage({ signature }: { signature: string }) {
  const told = useSignal<Transaction | undefined>(undefined)
  const problem = useSignal<string | undefined>(undefined)
  useEffect(() => {
    void api.transaction(signature).then((outcome) => {
      if (outcome.ok) told.value = outcome.value
      problem.value = outcome.ok ? undefined : outcome.message
    })
  }, [signature])
  if (problem.value) return <Empty title={problem.value} />
  if (!told.value) return <Loading what="the transaction" />
  return (
    <>
      <div class="page-head">
        <h1>Transaction</h1>
      </div>
      <div class="pair">
        <Facts told={told.value} />
        <Instructions told={told.value} />
      </div>
      <section>
        <h2 class="section-title">Tokens moved</h2>
        {told.value.changes.length === 0 ? (
          <Empty title="No tokens were moved." />
        ) : (
          <Table
            caption="Tokens moved"
            columns={changeColumns}
            rows={told.value.changes}
            keyOf={({ account }) => account}
          />
        )}
      </section>
    </>
  )
}
