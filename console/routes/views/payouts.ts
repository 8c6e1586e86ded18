// Payouts and epochs as the page shows them.
import type { Kysely, Selectable } from 'kysely'
import type { Database } from '../../store/schema.ts'
import type { TransactionView } from '../chain.ts'
import type { PayoutDetail } from '../payouts.ts'
import type { EpochView, PayoutView } from '../shapes.ts'

export interface PayoutViewOptions {
  readonly db: Kysely<Database>
  /** The transaction as the chain tells it; undefined while the chain does not know it or does not answer. */
  readonly transaction: (signature: string) => Promise<TransactionView | undefined>
}

type Row = Selectable<Database['payouts']> &
  Pick<
    Selectable<Database['payout_batches']>,
    'epoch_id' | 'state' | 'memo' | 'created_at' | 'updated_at' | 'failure' | 'adopted_at'
  > & { owner: string | null; signature: string | null; attempts: number | null }

const iso = (at: number): string => new Date(at).toISOString()

const view = (row: Row): PayoutView => ({
  id: row.id,
  batch: row.batch_id,
  epoch: row.epoch_id,
  owner: { id: row.payee, name: row.owner ?? row.payee },
  wallet: row.wallet,
  amount: String(row.amount_units),
  rentLamports: row.rent_lamports,
  state: row.state,
  ...(row.signature !== null && { signature: row.signature }),
  memo: row.memo,
  attempts: row.attempts ?? 0,
  createdAt: iso(row.created_at),
  updatedAt: iso(row.updated_at),
  ...(row.failure !== null && { failure: row.failure }),
  ...(row.adopted_at !== null && { adoptedAt: iso(row.adopted_at) }),
})

/** Each payout with its batch, the last attempt's signature and how many attempts there were. */
const selectFrom = (db: Kysely<Database>) =>
  db
    .selectFrom('payouts as p')
    .innerJoin('payout_batches as b', 'b.id', 'p.batch_id')
    .leftJoin('owners as o', 'o.id', 'p.payee')
    .selectAll('p')
    .select((eb) => [
      'b.epoch_id',
      'b.state',
      'b.memo',
      'b.created_at',
      'b.updated_at',
      'b.failure',
      'b.adopted_at',
      'o.name as owner',
      eb
        .selectFrom('payout_attempts as a')
        .select('a.signature')
        .whereRef('a.batch_id', '=', 'b.id')
        .orderBy('a.attempt', 'desc')
        .limit(1)
        .as('signature'),
      eb
        .selectFrom('payout_attempts as a')
        .select((count) => count.fn.countAll<number>().as('attempts'))
        .whereRef('a.batch_id', '=', 'b.id')
        .as('attempts'),
    ])

export function createPayoutViews({ db, transaction }: PayoutViewOptions) {
  const select = () => selectFrom(db)

  /** Those of whole batches: a batch moves as one. */
  async function payouts(batches: readonly string[]): Promise<PayoutView[]> {
    return batches.length === 0
      ? []
      : (await select().where('p.batch_id', 'in', batches).orderBy('p.id').execute()).map(view)
  }

  return {
    many: payouts,

    async list(limit: number): Promise<PayoutView[]> {
      const rows = await select().orderBy('b.created_at', 'desc').orderBy('p.id').limit(limit).execute()
      return rows.map(view)
    },

    async detail(id: string): Promise<PayoutDetail | undefined> {
      const row = await select().where('p.id', '=', id).executeTakeFirst()
      if (row === undefined) return undefined
      const payout = view(row)
      const attempts = await db
        .selectFrom('payout_attempts')
        .select(['attempt', 'signature', 'blockhash', 'last_valid_block_height', 'signed_at'])
        .where('batch_id', '=', row.batch_id)
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
      payouts: (await select().where('b.epoch_id', '=', row.id).orderBy('b.created_at').orderBy('p.id').execute()).map(
        view,
      ),
    }
  }
}
export type PayoutViews = ReturnType<typeof createPayoutViews>
