// Chain and ledger compared, both ways: what the treasury's history says was paid, and what the database says of it. Pure.
import type { PayoutState } from '../store/states.ts'
import { batchOfMemo } from './memo.ts'
import type { ChainTransfer, Share } from './payer.ts'

export interface LedgerBatch {
  readonly id: string
  readonly state: PayoutState
  readonly signatures: readonly string[]
  readonly lines: readonly Share[]
}

export const DIFFERENCES = [
  'only-on-chain',
  'only-here',
  'lines-differ',
  'paid-twice',
  'paid-though-failed',
  'unknown',
  'deposit-missing',
  'deposit-differs',
  'deposit-only-here',
  'unreadable',
] as const

export interface Difference {
  readonly kind: (typeof DIFFERENCES)[number]
  /** One sentence, with the numbers. */
  readonly detail: string
  readonly batch?: string
  readonly signature?: string
}

export interface Reconciliation {
  readonly ok: boolean
  /** Of the history of the treasury's token account: all that moved tokens or carry a payout's memo. */
  readonly transactions: number
  /** Base units that payouts moved, as the chain has it and as the ledger has it. */
  readonly chain: { readonly payouts: number; readonly units: bigint }
  readonly ledger: { readonly payouts: number; readonly units: bigint }
  /** Batches that are not final here; the engine sees to them. */
  readonly underWay: number
  /** Base units that came into the treasury's account: sweeps of deposits, minting. */
  readonly incoming: bigint
  readonly differences: readonly Difference[]
}

const total = (shares: readonly Share[]): bigint => shares.reduce((sum, { units }) => sum + units, 0n)

function byWallet(shares: readonly Share[]): ReadonlyMap<string, bigint> {
  const sums = new Map<string, bigint>()
  for (const { wallet, units } of shares) sums.set(wallet, (sums.get(wallet) ?? 0n) + units)
  return sums
}

/** The first wallet that got something else than the ledger says. */
function unequal(chain: readonly Share[], ledger: readonly Share[]): string | undefined {
  const [paid, booked] = [byWallet(chain), byWallet(ledger)]
  const wallet = [...new Set([...paid.keys(), ...booked.keys()])].find((one) => paid.get(one) !== booked.get(one))
  return wallet && `${wallet} got ${paid.get(wallet) ?? 0n} on the chain, ${booked.get(wallet) ?? 0n} are booked`
}

/** What an RPC lists and does not tell might be anything: it is told as one difference. */
export function unreadable(signatures: readonly string[], address: string): Difference[] {
  const [signature] = signatures
  if (signature === undefined) return []
  const detail = `${signatures.length} transaction(s) of ${address} could not be read: ask an RPC that keeps the whole history`
  return [{ kind: 'unreadable', signature, detail }]
}

function differencesOf(
  batch: LedgerBatch,
  landed: readonly ChainTransfer[],
  isUntold: (signature: string) => boolean,
): Difference[] {
  const { id } = batch
  const [first, second] = landed
  if (second) {
    const detail = `batch ${id} landed ${landed.length} times: ${landed.map(({ signature }) => signature).join(', ')}`
    return [{ kind: 'paid-twice', batch: id, signature: second.signature, detail }]
  }
  if (batch.state === 'finalized' && !first && !batch.signatures.some(isUntold)) {
    const detail = `batch ${id} is final here with ${total(batch.lines)} base units, and the chain has none of its transactions`
    return [{ kind: 'only-here', batch: id, detail }]
  }
  if (!first) return []
  const { signature } = first
  if (batch.state === 'failed') {
    const detail = `batch ${id} failed here, and the chain paid ${total(first.received)} base units for it`
    return [{ kind: 'paid-though-failed', batch: id, signature, detail }]
  }
  const wrong = unequal(first.received, batch.lines)
  return wrong === undefined ? [] : [{ kind: 'lines-differ', batch: id, signature, detail: `batch ${id}: ${wrong}` }]
}

/** What left the treasury and stands in no batch. */
function strangerOf(transfer: ChainTransfer): Difference {
  const { signature, memo, received } = transfer
  const name = memo === undefined ? undefined : batchOfMemo(memo)
  const whom = received.map(({ wallet, units }) => `${units} to ${wallet}`).join(', ')
  if (name !== undefined)
    return {
      kind: 'only-on-chain',
      signature,
      detail: `the chain has a payout ${name} (${whom}) that this database does not know; it is taken in at the next start`,
    }
  return {
    kind: 'unknown',
    signature,
    detail: `${-transfer.treasuryChange} base units left the treasury for no payout: ${whom}`,
  }
}

/** The whole history of the treasury's token account: what was finalized and succeeded. */
export interface ChainSide {
  readonly transfers: readonly ChainTransfer[]
  /** Signatures that are listed and not told. */
  readonly untold: readonly string[]
  readonly account: string
}

export function reconcile({ transfers, untold, account }: ChainSide, batches: readonly LedgerBatch[]): Reconciliation {
  const unknown = new Set(untold)
  const batchOf = new Map(batches.flatMap((batch) => batch.signatures.map((signature) => [signature, batch] as const)))
  const landed = Map.groupBy(transfers, ({ signature }) => batchOf.get(signature))
  const strangers = (landed.get(undefined) ?? []).filter(({ isOurs, treasuryChange, memo }) => {
    return treasuryChange < 0n || (isOurs && memo !== undefined && batchOfMemo(memo) !== undefined)
  })
  const paid = transfers.filter(({ signature }) => batchOf.has(signature))
  const booked = batches.filter(({ state }) => state === 'finalized')
  const differences = [
    ...batches.flatMap((batch) => differencesOf(batch, landed.get(batch) ?? [], (signature) => unknown.has(signature))),
    ...strangers.map(strangerOf),
    ...unreadable(untold, account),
  ]
  return {
    ok: differences.length === 0,
    transactions: transfers.length,
    chain: { payouts: paid.length, units: paid.reduce((sum, { received }) => sum + total(received), 0n) },
    ledger: { payouts: booked.length, units: booked.reduce((sum, { lines }) => sum + total(lines), 0n) },
    underWay: batches.filter(({ state }) => state !== 'finalized' && state !== 'failed').length,
    incoming: transfers.reduce((sum, { treasuryChange: change }) => (change > 0n ? sum + change : sum), 0n),
    differences,
  }
}
