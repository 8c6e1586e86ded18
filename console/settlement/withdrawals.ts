// A requester's withdrawal under a name that the requester gives it: however often it is asked for, it is paid out once.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import type { Withdrawal } from './plan.ts'

export interface NamedWithdrawal extends Withdrawal {
  readonly requestId: string
}

export type Withdrawn =
  | { readonly batch: string; readonly state: PayoutState }
  /** This name stands for another amount already. */
  | { readonly takenFor: bigint }

/**
 * Within the caller's transaction, so that the name and the money go together. `plan` as Payouts.planWithdrawal; asked only the
 * first time.
 */
export async function withdrawOnce(
  trx: Kysely<Database>,
  withdrawal: NamedWithdrawal,
  plan: (trx: Kysely<Database>, withdrawal: Withdrawal) => Promise<string>,
  at: number,
): Promise<Withdrawn> {
  const { requester, requestId, units } = withdrawal
  const before = await trx
    .selectFrom('withdrawals as w')
    .innerJoin('payout_batches as b', 'b.id', 'w.batch_id')
    .select(['w.batch_id', 'w.amount_units', 'b.state'])
    .where('w.requester_id', '=', requester)
    .where('w.request_id', '=', requestId)
    .executeTakeFirst()
  if (before !== undefined)
    return before.amount_units === units
      ? { batch: before.batch_id, state: before.state }
      : { takenFor: before.amount_units }
  const batch = await plan(trx, withdrawal)
  const row = { requester_id: requester, request_id: requestId, batch_id: batch, amount_units: units, at }
  await trx.insertInto('withdrawals').values(row).execute()
  return { batch, state: 'planned' }
}
