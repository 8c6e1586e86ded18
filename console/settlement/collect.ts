// Both sides of a reconciliation: the treasury's whole history from the chain, and the batches from the database.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import { compareDeposits, type DepositComparison } from './deposits/compare.ts'
import type { DepositChain } from './deposits/deposit-chain.ts'
import { historyOf } from './look.ts'
import type { ChainTransfer, PayoutChain } from './payer.ts'
import { type ChainSide, type LedgerBatch, type Reconciliation, reconcile } from './reconcile.ts'

const AT_ONCE = 8

type Chain = Pick<PayoutChain, 'treasury' | 'accountOf' | 'finalized' | 'history' | 'transfer'>

/**
 * Those that moved no token and are no payout are left out. Asked for by the token account: whatever moves its tokens names it,
 * whoever signs and whoever pays the fee.
 */
async function sideOf(chain: Chain): Promise<ChainSide> {
  const { slot } = await chain.finalized()
  const account = chain.accountOf(chain.treasury)
  const transfers: ChainTransfer[] = []
  const untold: string[] = []
  for await (const page of historyOf(chain, account, slot)) {
    const signatures = page.filter(({ isFinal, hasFailed }) => isFinal && !hasFailed).map(({ signature }) => signature)
    for (let at = 0; at < signatures.length; at += AT_ONCE) {
      const part = signatures.slice(at, at + AT_ONCE)
      const found = await Promise.all(part.map(chain.transfer))
      transfers.push(...found.filter((transfer) => transfer !== undefined))
      untold.push(...part.filter((_, index) => found[index] === undefined))
    }
  }
  const moved = transfers.filter(({ treasuryChange, memo }) => treasuryChange !== 0n || memo !== undefined)
  return { transfers: moved, untold, account }
}

async function batchesOf(db: Kysely<Database>): Promise<LedgerBatch[]> {
  const { batches, attempts, lines } = await db.transaction().execute(async (trx) => ({
    batches: await trx.selectFrom('payout_batches').select(['id', 'state']).execute(),
    attempts: await trx.selectFrom('payout_attempts').select(['batch_id', 'signature']).execute(),
    lines: await trx.selectFrom('payouts').select(['batch_id', 'wallet', 'amount_units']).execute(),
  }))
  const signatures = Map.groupBy(attempts, ({ batch_id }) => batch_id)
  const shares = Map.groupBy(lines, ({ batch_id }) => batch_id)
  return batches.map(({ id, state }) => ({
    id,
    state,
    signatures: (signatures.get(id) ?? []).map(({ signature }) => signature),
    lines: (shares.get(id) ?? []).map(({ wallet, amount_units: units }) => ({ wallet, units })),
  }))
}

const isFinal = ({ state }: LedgerBatch): boolean => state === 'finalized'

/** Rejects with ChainError when the chain does not answer. */
export async function collectAndReconcile(db: Kysely<Database>, chain: Chain): Promise<Reconciliation> {
  const before = new Set((await batchesOf(db)).filter(isFinal).map(({ id }) => id))
  const side = await sideOf(chain)
  // What became final here while the chain was read may have been read there before it was final.
  const batches = (await batchesOf(db)).map((batch): LedgerBatch => {
    return isFinal(batch) && !before.has(batch.id) ? { ...batch, state: 'confirmed' } : batch
  })
  return reconcile(side, batches)
}

export interface WholeReconciliation extends Reconciliation {
  readonly deposits: Omit<DepositComparison, 'differences'>
}

/** Payouts and deposits. Rejects with ChainError when the chain does not answer. */
export async function reconcileAll(
  db: Kysely<Database>,
  payer: Chain,
  depositChain: Pick<DepositChain, 'arrivals' | 'change'>,
): Promise<WholeReconciliation> {
  const payouts = await collectAndReconcile(db, payer)
  const { differences: more, ...deposits } = await compareDeposits(db, depositChain)
  const differences = [...payouts.differences, ...more]
  return { ...payouts, deposits, differences, ok: differences.length === 0 }
}
