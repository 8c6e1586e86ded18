// Epochs: closing one makes what has left the hold payable, in one sum per owner, and commits to the receipts of it.
import { type Kysely, sql } from 'kysely'
import type { Database } from '../store/schema.ts'
import { accounts } from './accounts.ts'
import { commitEpochs } from './commitments.ts'
import { post, type Transfer } from './ledger.ts'

export { newestHead } from './commitments.ts'

export interface ClosedEpoch {
  readonly epoch: number
  /** What this epoch made payable, by owner; an owner may have more from before. */
  readonly owners: readonly { readonly owner: string; readonly amount: bigint }[]
}

/** The epoch that is open now; the first one is opened here. */
export async function openEpoch(trx: Kysely<Database>, now: number): Promise<number> {
  const open = await trx.selectFrom('epochs').select('id').where('closed_at', 'is', null).executeTakeFirst()
  if (open) return open.id
  const { id } = await trx
    .insertInto('epochs')
    .values({ opened_at: now, closed_at: null })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

const maturedSums = (trx: Kysely<Database>, epoch: number) =>
  trx
    .selectFrom('receipts')
    .select(['owner_id', sql<bigint>`sum(amount_units)`.as('sum_units')])
    .where('epoch_id', '=', epoch)
    .groupBy('owner_id')
    .orderBy('owner_id')
    .execute()

/**
 * Within the caller's transaction: receipts out of the hold join the open epoch, their sums move from pending to payable,
 * and the next epoch opens. Undefined when nothing has matured: the epoch stays open.
 */
export async function closeEpoch(trx: Kysely<Database>, now: number): Promise<ClosedEpoch | undefined> {
  const epoch = await openEpoch(trx, now)
  const { numUpdatedRows } = await trx
    .updateTable('receipts')
    .set({ epoch_id: epoch })
    .where('state', '=', 'credited')
    .where('epoch_id', 'is', null)
    .where('release_at', '<=', now)
    .where('amount_units', '>', 0n)
    .executeTakeFirst()
  if (numUpdatedRows === 0n) return undefined
  const owners = (await maturedSums(trx, epoch)).map((row) => ({ owner: row.owner_id, amount: row.sum_units }))
  await post(
    trx,
    owners.map(
      ({ owner, amount }): Transfer => ({
        kind: 'mature',
        ref: `epoch:${epoch}`,
        from: accounts.pending(owner),
        to: accounts.payable(owner),
        amount,
        at: now,
      }),
    ),
  )
  await trx.updateTable('epochs').set({ closed_at: now }).where('id', '=', epoch).execute()
  await commitEpochs(trx)
  await openEpoch(trx, now)
  return { epoch, owners }
}
