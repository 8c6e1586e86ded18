// Lifecycles move here: one guarded UPDATE per move, and the changed-row count says whether it happened. A move that
// store/states.ts does not allow does not compile.
import type { Kysely, UpdateObject } from 'kysely'
import type { Database } from './schema.ts'
import type { PAYOUT_MOVES, RECEIPT_MOVES, ROLLOUT_MOVES, TABLE_MOVES, TASK_MOVES } from './states.ts'

type Patch<T extends keyof Database> = Omit<UpdateObject<Database, T, T>, 'id' | 'state'>

/** `holder` guards the move further: only while this board holds, or held last, the lease. */
export async function moveTask<F extends keyof typeof TASK_MOVES>(
  db: Kysely<Database>,
  id: string,
  from: F,
  to: (typeof TASK_MOVES)[F][number],
  patch: Patch<'tasks'>,
  holder?: string,
): Promise<boolean> {
  let update = db
    .updateTable('tasks')
    .set({ ...patch, state: to })
    .where('id', '=', id)
    .where('state', '=', from)
  if (holder !== undefined) update = update.where('device_id', '=', holder)
  const { numUpdatedRows } = await update.executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function moveReceipt<F extends keyof typeof RECEIPT_MOVES>(
  db: Kysely<Database>,
  id: number,
  from: F,
  to: (typeof RECEIPT_MOVES)[F][number],
  patch: Patch<'receipts'>,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('receipts')
    .set({ ...patch, state: to })
    .where('id', '=', id)
    .where('state', '=', from)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function moveBatch<F extends keyof typeof PAYOUT_MOVES>(
  db: Kysely<Database>,
  id: string,
  from: F,
  to: (typeof PAYOUT_MOVES)[F][number],
  patch: Patch<'payout_batches'>,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('payout_batches')
    .set({ ...patch, state: to })
    .where('id', '=', id)
    .where('state', '=', from)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function moveRollout<F extends keyof typeof ROLLOUT_MOVES>(
  db: Kysely<Database>,
  id: number,
  from: F,
  to: (typeof ROLLOUT_MOVES)[F][number],
  patch: Patch<'software_rollouts'>,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('software_rollouts')
    .set({ ...patch, state: to })
    .where('id', '=', id)
    .where('state', '=', from)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function moveTable<F extends keyof typeof TABLE_MOVES>(
  db: Kysely<Database>,
  id: number,
  from: F,
  to: (typeof TABLE_MOVES)[F][number],
  patch: Patch<'lookup_tables'>,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('lookup_tables')
    .set({ ...patch, state: to })
    .where('id', '=', id)
    .where('state', '=', from)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}
