// What the treasury's history on the chain has and this database has not: read back to where they last agreed, or not believed.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import { historyOf } from './look.ts'
import { batchOfMemo, tableOfMemo } from './memo.ts'
import type { ChainTransfer, HistoryEntry, PayoutChain } from './payer.ts'

type Chain = Pick<PayoutChain, 'treasury' | 'markerOf' | 'history' | 'transfer'>

export interface Differences {
  /** On the chain and not here, oldest first. */
  readonly unknown: readonly ChainTransfer[]
  /** The newest final transaction of the chain. */
  readonly newest: string | undefined
  /** Addresses of lookup tables that were made meanwhile. */
  readonly tables: readonly string[]
  /** Why they cannot be told yet. */
  readonly trouble: string | undefined
}

export const NOTHING_YET =
  'payouts wait: the chain has a payout that this database does not know, and it is not final yet'

async function statesOf(
  db: Kysely<Database>,
  page: readonly HistoryEntry[],
): Promise<ReadonlyMap<string, PayoutState>> {
  const rows = await db
    .selectFrom('payout_attempts as a')
    .innerJoin('payout_batches as b', 'b.id', 'a.batch_id')
    .select(['a.signature', 'b.state'])
    .where(
      'a.signature',
      'in',
      page.map(({ signature }) => signature),
    )
    .execute()
  return new Map(rows.map(({ signature, state }) => [signature, state]))
}

/** Each treasury has a history of its own, and so a mark of its own. */
const markKey = (treasury: string): string => `payouts.compared.${treasury}`

/** The newest final transaction when a comparison last found nothing missing; a backup holds that of its own time. */
async function readMark(db: Kysely<Database>, treasury: string): Promise<string | undefined> {
  const row = await db.selectFrom('meta').select('value').where('key', '=', markKey(treasury)).executeTakeFirst()
  return row?.value
}

export async function writeMark(db: Kysely<Database>, treasury: string, signature: string): Promise<void> {
  await db
    .insertInto('meta')
    .values({ key: markKey(treasury), value: signature })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: signature }))
    .execute()
}

/** Signatures of the oldest payout that this treasury made and that is final here; none where there is no such payout. */
async function oldestPayout(db: Kysely<Database>, { markerOf }: Chain): Promise<readonly string[]> {
  const final = await db
    .selectFrom('payout_batches')
    .select(['id', 'marker'])
    .where('state', '=', 'finalized')
    .orderBy('created_at')
    .execute()
  // Only this treasury's key makes this marker of this name.
  const oldest = final.find(({ id, marker }) => marker === markerOf(id))
  if (oldest === undefined) return []
  const attempts = db.selectFrom('payout_attempts').select('signature').where('batch_id', '=', oldest.id)
  return (await attempts.execute()).map(({ signature }) => signature)
}

interface Entries {
  readonly unknown: readonly HistoryEntry[]
  readonly tables: readonly string[]
  readonly newest: string | undefined
}

/**
 * Entries newer than the mark, newest first; a sentence where they cannot be told. What is older was compared, and nobody can have
 * added to it: what a lost database paid, it planned after the backup, hence after the mark. A payout that is final here is
 * no such mark: one that was sent beside it, by a database that is lost, may have landed before it. But it must be shown where there is no mark:
 * an RPC that forgets is not to be taken for a chain on which nothing was paid.
 */
async function unknownEntries(db: Kysely<Database>, chain: Chain, slot: number): Promise<Entries | string> {
  const unknown: HistoryEntry[] = []
  const tables: string[] = []
  const mark = await readMark(db, chain.treasury)
  const wanted = new Set(mark === undefined ? await oldestPayout(db, chain) : [mark])
  let [hasReached, newest]: [boolean, string | undefined] = [wanted.size === 0, undefined]
  for await (const page of historyOf(chain, chain.treasury, slot)) {
    const states = await statesOf(db, page)
    for (const entry of page) {
      if (entry.isFinal) newest ??= entry.signature
      if (entry.signature === mark) return { unknown, tables, newest }
      if (entry.hasFailed) continue
      hasReached ||= wanted.has(entry.signature)
      const table = entry.memo === undefined ? undefined : tableOfMemo(entry.memo)
      if (table !== undefined) tables.push(table)
      const state = states.get(entry.signature)
      if (state === 'failed' && entry.isFinal)
        return `payouts stop: the chain paid ${entry.signature}, which failed here; run bramble rewards reconcile`
      if (state === undefined && entry.memo !== undefined && batchOfMemo(entry.memo) !== undefined) unknown.push(entry)
    }
  }
  const [first] = wanted
  return hasReached
    ? { unknown, tables, newest }
    : `payouts wait: the RPC does not show the treasury's history back to ${first}, which this database knows; name one that keeps it`
}

export async function differences(db: Kysely<Database>, chain: Chain, slot: number): Promise<Differences> {
  const entries = await unknownEntries(db, chain, slot)
  if (typeof entries === 'string') return { unknown: [], newest: undefined, tables: [], trouble: entries }
  const { newest, tables } = entries
  const unknown: ChainTransfer[] = []
  for (const { signature, isFinal } of entries.unknown.toReversed()) {
    const found = isFinal ? await chain.transfer(signature) : undefined
    if (found === undefined) return { unknown: [], newest, tables, trouble: NOTHING_YET }
    // Anybody may write such a memo and name the treasury; only what it signed is a payout.
    if (found.isOurs) unknown.push(found)
  }
  return { unknown, newest, tables, trouble: undefined }
}
