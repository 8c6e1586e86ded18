// Both sides of a reconciliation: the treasury's whole history from the chain, and the batches from the database.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import { historyOf } from './look.ts'
import type { ChainTransfer, PayoutChain } from './payer.ts'
import { type LedgerBatch, type Reconciliation, reconcile } from './reconcile.ts'

const AT_ONCE = 8

type Chain = Pick<PayoutChain, 'treasury' | 'finalized' | 'history' | 'transfer'>

/** Finalized and successful, newest first; those that moved no token and are no payout are left out. */
async function transfersOf(chain: Chain): Promise<ChainTransfer[]> {
  const { slot } = await chain.finalized()
  const transfers: ChainTransfer[] = []
  for await (const page of historyOf(chain, chain.treasury, slot)) {
    const signatures = page.filter(({ isFinal, hasFailed }) => isFinal && !hasFailed).map(({ signature }) => signature)
    for (let at = 0; at < signatures.length; at += AT_ONCE) {
      const found = await Promise.all(signatures.slice(at, at + AT_ONCE).map(chain.transfer))
      transfers.push(...found.filter((transfer) => transfer !== undefined))
    }
  }
  return transfers.filter(({ treasuryChange, memo }) => treasuryChange !== 0n || memo !== undefined)
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
  const transfers = await transfersOf(chain)
  // What became final here while the chain was read may have been read there before it was final.
  const batches = (await batchesOf(db)).map((batch): LedgerBatch => {
    return isFinal(batch) && !before.has(batch.id) ? { ...batch, state: 'confirmed' } : batch
  })
  return reconcile(transfers, batches)
}
