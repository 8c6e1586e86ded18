// The last receipts, newest first, as the console shows them.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'

export interface ReceiptFilter {
  readonly device?: string
  readonly owner?: string
  readonly epoch?: number
  /** A receipt id: answers the ones stored before it. */
  readonly before?: number
  readonly limit: number
}

const receipts = (db: Kysely<Database>) =>
  db
    .selectFrom('receipts')
    .innerJoin('devices', 'devices.id', 'receipts.device_id')
    .select(['receipts.id', 'receipts.device_id', 'devices.name as device_name', 'receipts.owner_id', 'task_id'])
    .select(['chain', 'seq', 'idx', 'at', 'infer_ms', 'state', 'reason', 'amount_units', 'epoch_id', 'output_digest'])
    .select(['received_at', 'release_at'])

export type ReceiptRow = Awaited<ReturnType<ReturnType<typeof receipts>['execute']>>[number]

export async function recentReceipts(db: Kysely<Database>, filter: ReceiptFilter): Promise<ReceiptRow[]> {
  const { device, owner, epoch, before, limit } = filter
  return receipts(db)
    .$if(device !== undefined, (query) => query.where('receipts.device_id', '=', device ?? ''))
    .$if(owner !== undefined, (query) => query.where('receipts.owner_id', '=', owner ?? ''))
    .$if(epoch !== undefined, (query) => query.where('epoch_id', '=', epoch ?? 0))
    .$if(before !== undefined, (query) => query.where('receipts.id', '<', before ?? 0))
    .orderBy('receipts.id', 'desc')
    .limit(limit)
    .execute()
}
