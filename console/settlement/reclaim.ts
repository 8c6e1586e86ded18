// Takes back the rent of markers that have served: long after a batch is final nothing of it can land any more.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { PayoutChain } from './payer.ts'

/** So many fit into one transaction with room to spare: a marker takes about 100 bytes. */
const MARKERS_PER_TRANSACTION = 8
const MARKERS_PER_TURN = 80

/**
 * What is gone from the chain is noted, the rest is asked for; a transaction that got lost is simply made again. Answers how
 * many markers were found gone.
 */
export async function reclaimMarkers(options: {
  readonly db: Kysely<Database>
  readonly chain: Pick<PayoutChain, 'finalized' | 'existing' | 'reclaim'>
  readonly now: number
  readonly keepMs: number
}): Promise<number> {
  const { db, chain, now, keepMs } = options
  const due = await db
    .selectFrom('payout_batches')
    .select(['id', 'marker'])
    .where('state', 'in', ['finalized', 'failed'])
    .where('marker', 'is not', null)
    .where('reclaimed_at', 'is', null)
    .where('updated_at', '<=', now - keepMs)
    .orderBy('updated_at')
    .limit(MARKERS_PER_TURN)
    .execute()
  if (due.length === 0) return 0
  const { slot } = await chain.finalized()
  const seen = await chain.existing(due.map(({ marker }) => marker ?? ''))
  const isThere = ({ marker }: (typeof due)[number]): boolean => seen.found.has(marker ?? '')
  const gone = seen.slot >= slot ? due.filter((batch) => !isThere(batch)).map(({ id }) => id) : []
  if (gone.length > 0)
    await db.updateTable('payout_batches').set({ reclaimed_at: now }).where('id', 'in', gone).execute()
  const left = due.filter(isThere).map(({ id }) => id)
  for (let at = 0; at < left.length; at += MARKERS_PER_TRANSACTION)
    await chain.reclaim(left.slice(at, at + MARKERS_PER_TRANSACTION))
  return gone.length
}
