// Receipts as the page shows them, and what each board has earned with them.
import type { Kysely, Selectable } from 'kysely'
import type { Database } from '../../store/schema.ts'
import type { ReceiptView } from '../shapes.ts'

export interface ReceiptViewOptions {
  readonly db: Kysely<Database>
  readonly nameOf: (device: string) => string
}

export function createReceiptViews({ db, nameOf }: ReceiptViewOptions) {
  const view = (row: Selectable<Database['receipts']>): ReceiptView => ({
    id: row.id,
    device: { id: row.device_id, name: nameOf(row.device_id) },
    task: row.task_id,
    at: new Date(row.at).toISOString(),
    inferMs: row.infer_ms,
    state: row.state,
    ...(row.reason !== null && { reason: row.reason }),
    amount: String(row.amount_units),
    ...(row.epoch_id !== null && { epoch: row.epoch_id }),
    outputDigest: row.output_digest,
  })
  const earned = new Map<string, bigint>()
  let counted = 0

  return {
    async one(id: number): Promise<ReceiptView | undefined> {
      const row = await db.selectFrom('receipts').selectAll().where('id', '=', id).executeTakeFirst()
      return row && view(row)
    },

    async ofDevice(device: string, limit: number): Promise<ReceiptView[]> {
      const rows = await db
        .selectFrom('receipts')
        .selectAll()
        .where('device_id', '=', device)
        .orderBy('id', 'desc')
        .limit(limit)
        .execute()
      return rows.map(view)
    },

    /** `epoch` undefined: the receipts that no closed epoch holds yet. */
    async ofEpoch(epoch: number | undefined, limit: number): Promise<ReceiptView[]> {
      let query = db.selectFrom('receipts').selectAll().orderBy('id', 'desc').limit(limit)
      query =
        epoch === undefined
          ? query.where('epoch_id', 'is', null).where('state', '=', 'credited')
          : query.where('epoch_id', '=', epoch)
      return (await query.execute()).map(view)
    },

    /** Credited to each board, ever: a receipt once held may be credited late, so it is the transfers that are followed. */
    async earned(): Promise<ReadonlyMap<string, bigint>> {
      const { newest } = await db
        .selectFrom('transfers')
        .select((eb) => eb.fn.coalesce(eb.fn.max('id'), eb.lit(0)).as('newest'))
        .executeTakeFirstOrThrow()
      if (newest === counted) return earned
      const rows = await db
        .selectFrom('transfers')
        .innerJoin('receipts', 'receipts.task_id', 'transfers.ref')
        .select((eb) => ['device_id', eb.fn.sum<bigint>('transfers.amount_units').as('sum_units')])
        .where('transfers.kind', '=', 'earn')
        .where('receipts.state', '=', 'credited')
        .where('receipts.amount_units', '>', 0n)
        .where('transfers.id', '>', counted)
        .where('transfers.id', '<=', newest)
        .groupBy('device_id')
        .execute()
      // Two callers may have asked at once: whoever comes second finds its receipts counted.
      if (newest > counted) {
        for (const row of rows) earned.set(row.device_id, (earned.get(row.device_id) ?? 0n) + BigInt(row.sum_units))
        counted = newest
      }
      return earned
    },
  }
}
export type ReceiptViews = ReturnType<typeof createReceiptViews>
