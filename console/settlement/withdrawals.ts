// A requester's withdrawal under a name that the requester gives it: however often it is asked for, it is paid out once.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import { type Withdrawal, withdrawalName } from './plan-withdrawal.ts'

export type Withdrawn =
  | { readonly batch: string; readonly state: PayoutState }
  /** This name stands for another amount already. */
  | { readonly takenFor: bigint }

interface Known {
  readonly batch: string
  readonly state: PayoutState
  readonly units: bigint
}

/** As it was asked for here. */
async function asked(trx: Kysely<Database>, { requester, requestId }: Withdrawal): Promise<Known | undefined> {
  const row = await trx
    .selectFrom('withdrawals as w')
    .innerJoin('payout_batches as b', 'b.id', 'w.batch_id')
    .select(['w.batch_id', 'w.amount_units', 'b.state'])
    .where('w.requester_id', '=', requester)
    .where('w.request_id', '=', requestId)
    .executeTakeFirst()
  return row && { batch: row.batch_id, state: row.state, units: row.amount_units }
}

/** As it was found on the chain, by a database that has forgotten it. */
async function found(trx: Kysely<Database>, withdrawal: Withdrawal): Promise<Known | undefined> {
  const row = await trx
    .selectFrom('payout_batches as b')
    .innerJoin('payouts as p', 'p.batch_id', 'b.id')
    .select(['b.id', 'b.state', 'p.amount_units'])
    .where('b.id', '=', withdrawalName(withdrawal))
    .executeTakeFirst()
  return row && { batch: row.id, state: row.state, units: row.amount_units }
}

/**
 * Within the caller's transaction, so that the name and the money go together. `plan` as Payouts.planWithdrawal; asked only the
 * first time.
 */
export async function withdrawOnce(
  trx: Kysely<Database>,
  withdrawal: Withdrawal,
  plan: (trx: Kysely<Database>, withdrawal: Withdrawal) => Promise<string>,
  at: number,
): Promise<Withdrawn> {
  const { requester, requestId, units } = withdrawal
  const before = (await asked(trx, withdrawal)) ?? (await found(trx, withdrawal))
  if (before !== undefined)
    return before.units === units ? { batch: before.batch, state: before.state } : { takenFor: before.units }
  const batch = await plan(trx, withdrawal)
  const row = { requester_id: requester, request_id: requestId, batch_id: batch, amount_units: units, at }
  await trx.insertInto('withdrawals').values(row).execute()
  return { batch, state: 'planned' }
}
