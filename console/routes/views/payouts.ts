// Payouts and epochs as the page shows them.
import type { Kysely, Selectable } from 'kysely'
import type { Database } from '../../store/schema.ts'
import type { PayoutDetail } from '../payouts.ts'
import type { EpochView, PayoutView } from '../shapes.ts'

export interface PayoutViewOptions {
  readonly db: Kysely<Database>
  /** The transaction as the chain tells it; undefined while the chain does not know it or does not answer. */
  readonly transaction: (signature: string) => Promise<Record<string, unknown> | undefined>
}

type Row = Selectable<Database['payouts']> & { owner: string | null; signature: string | null; attempts: number | null }

const iso = (at: number): string => new Date(at).toISOString()

const view = (row: Row): PayoutView => ({
  id: row.id,
  epoch: row.epoch_id,
  owner: { id: row.owner_id, name: row.owner ?? row.owner_id },
  wallet: row.wallet,
  amount: String(row.amount_units),
  state: row.state,
  ...(row.signature !== null && { signature: row.signature }),
  memo: row.memo,
  attempts: row.attempts ?? 0,
  createdAt: iso(row.created_at),
  updatedAt: iso(row.updated_at),
  ...(row.failure !== null && { failure: row.failure }),
})

export function createPayoutViews({ db, transaction }: PayoutViewOptions) {
  /** With the last attempt's signature and how many attempts there were. */
  const select = () =>
    db
      .selectFrom('payouts as p')
      .leftJoin('owners as o', 'o.id', 'p.owner_id')
      .selectAll('p')
      .select((eb) => [
        'o.name as owner',
        eb
          .selectFrom('payout_attempts as a')
          .select('a.signature')
          .whereRef('a.payout_id', '=', 'p.id')
          .orderBy('a.attempt', 'desc')
          .limit(1)
          .as('signature'),
        eb
          .selectFrom('payout_attempts as a')
          .select((count) => count.fn.countAll<number>().as('attempts'))
          .whereRef('a.payout_id', '=', 'p.id')
          .as('attempts'),
      ])

  async function payouts(ids: readonly string[]): Promise<PayoutView[]> {
    return ids.length === 0 ? [] : (await select().where('p.id', 'in', ids).execute()).map(view)
  }

  return {
    many: payouts,

    async list(limit: number): Promise<PayoutView[]> {
      return (await select().orderBy('p.created_at', 'desc').limit(limit).execute()).map(view)
    },

    async detail(id: string): Promise<PayoutDetail | undefined> {
      const [payout] = await payouts([id])
      if (payout === undefined) return undefined
      const attempts = await db
        .selectFrom('payout_attempts')
        .select(['attempt', 'signature', 'blockhash', 'last_valid_block_height', 'signed_at'])
        .where('payout_id', '=', id)
        .orderBy('attempt')
        .execute()
      const told = payout.signature === undefined ? undefined : await transaction(payout.signature)
      return {
        payout,
        attempts: attempts.map((attempt) => ({
          attempt: attempt.attempt,
          signature: attempt.signature,
          blockhash: attempt.blockhash,
          lastValidBlockHeight: attempt.last_valid_block_height,
          signedAt: iso(attempt.signed_at),
        })),
        ...(told && { transaction: told }),
      }
    },

    /** Newest first; the open epoch leads and holds the receipts that no close has taken yet. */
    async epochs(limit: number): Promise<EpochView[]> {
      const rows = await db.selectFrom('epochs').selectAll().orderBy('id', 'desc').limit(limit).execute()
      return Promise.all(rows.map((row) => epochView(row)))
    },

    async epoch(id: number): Promise<EpochView | undefined> {
      const row = await db.selectFrom('epochs').selectAll().where('id', '=', id).executeTakeFirst()
      return row && epochView(row)
    },
  }

  async function epochView(row: Selectable<Database['epochs']>): Promise<EpochView> {
    let receipts = db
      .selectFrom('receipts')
      .select((eb) => [
        eb.fn.countAll<number>().as('receipts'),
        eb.fn.coalesce(eb.fn.sum<bigint>('amount_units'), eb.lit(0)).as('sum_units'),
      ])
    receipts =
      row.closed_at === null
        ? receipts.where('epoch_id', 'is', null).where('state', '=', 'credited')
        : receipts.where('epoch_id', '=', row.id)
    const totals = await receipts.executeTakeFirstOrThrow()
    return {
      id: row.id,
      openedAt: iso(row.opened_at),
      ...(row.closed_at !== null && { closedAt: iso(row.closed_at) }),
      receipts: totals.receipts,
      amount: String(totals.sum_units),
      payouts: (await select().where('p.epoch_id', '=', row.id).orderBy('p.created_at').execute()).map(view),
    }
  }
}
export type PayoutViews = ReturnType<typeof createPayoutViews>
