// A payout with its way to the chain, its signed attempts, and the transaction as the chain tells it.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { PayoutView, Rewards } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import type { PayoutDetail } from '../api.ts'
import { plural } from '../quantities.ts'
import { api } from '../session.ts'
import { PAYOUT_WORDS } from '../words.ts'
import { Amount, Digest, Moment, Pill } from './words.tsx'

type Cluster = Rewards['cluster']

const STEPS = ['planned', 'signed', 'sent', 'confirmed', 'finalized'] as const

/** How far along; `expired` stands between signed and sent, since it is signed again from there. */
const reached = (state: PayoutView['state']): number =>
  state === 'failed' ? -1 : STEPS.indexOf(state === 'expired' ? 'signed' : state)

const Way = ({ state }: { state: PayoutView['state'] }) => (
  <ol class="way" aria-label={`Payout is ${state}`}>
    {STEPS.map((step, place) => (
      <li key={step} class={place <= reached(state) ? 'way-done' : undefined}>
        {step}
      </li>
    ))}
  </ol>
)

const explorerUrl = (signature: string, cluster: Cluster): string =>
  `https://explorer.solana.com/tx/${signature}${cluster === 'devnet' ? '?cluster=devnet' : ''}`

function Transaction({ payout, cluster }: { payout: PayoutView; cluster: Cluster }) {
  const read = useSignal<PayoutDetail | undefined>(undefined)
  useEffect(() => {
    void api.payout(payout.id).then((outcome) => {
      if (outcome.ok) read.value = outcome.value
    })
  }, [payout.id, payout.state])
  if (!payout.signature) return <p class="muted">Not signed yet, so there is no transaction.</p>
  return (
    <>
      <p>
        Signature <Digest text={payout.signature} keep={16} />{' '}
        {cluster === 'local' ? (
          <a href={paths.transaction(payout.signature)}>Look at the transaction</a>
        ) : (
          <a href={explorerUrl(payout.signature, cluster)} target="_blank" rel="noreferrer">
            Open in the explorer
          </a>
        )}
      </p>
      {read.value && <p class="muted">{plural(read.value.attempts.length, 'signed attempt')}</p>}
    </>
  )
}

export function Payout({ payout, cluster }: { payout: PayoutView; cluster: Cluster }) {
  const open = useSignal(false)
  return (
    <details
      class="payout"
      onToggle={(event) => {
        open.value = event.currentTarget.open
      }}
    >
      <summary>
        <Pill {...PAYOUT_WORDS[payout.state]} />
        <Amount units={payout.amount} />
        <span>to {payout.owner.name}</span>
        <span class="muted">
          <Moment at={payout.updatedAt} />
        </span>
      </summary>
      {open.value && (
        <div class="payout-body">
          <Way state={payout.state} />
          {payout.failure && <p class="note tone-bad">{payout.failure}</p>}
          <p>
            Wallet <Digest text={payout.wallet} keep={12} /> · memo <code>{payout.memo}</code>
          </p>
          {payout.rentLamports > 0 && (
            <p class="muted">
              The wallet had no account for this token: {payout.rentLamports.toLocaleString('en')} lamports of rent were
              paid for it, once.
            </p>
          )}
          <Transaction payout={payout} cluster={cluster} />
        </div>
      )}
    </details>
  )
}
