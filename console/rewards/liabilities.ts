// What the treasury must still be able to pay, counted in one way for the page, the metrics and the ledger check.
import { type Kysely, sql } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import type { AccountKind } from './accounts.ts'

/** What the treasury was seen to hold. */
export interface Holdings {
  /** Base units, those in deposit accounts included. */
  readonly units: bigint
  /** Markers that were on the chain at the same moment: the money of their batches had left. */
  readonly landed: readonly string[]
}

/** The fee is the operator's own, and paid last. */
const OWED = ['budget', 'reserved', 'pending', 'payable', 'royalty'] as const satisfies readonly AccountKind[]
/** Money of these batches lies in the treasury, unless their marker says otherwise; that of confirmed ones has left it. */
export const UNPAID = ['planned', 'signed', 'sent', 'expired'] as const satisfies readonly PayoutState[]

/** Base units, in one statement: a batch that moves meanwhile is counted once. */
export async function readLiabilities(db: Kysely<Database>, landed: readonly string[] = []): Promise<bigint> {
  const left = landed.length === 0 ? sql`false` : sql`marker is not null and marker in (${sql.join(landed)})`
  const query = sql<{ sum_units: bigint }>`
    select (select coalesce(sum(balance_units), 0) from accounts where kind in (${sql.join(OWED)}))
      + (select coalesce(sum(amount_units), 0) from payouts join payout_batches on payout_batches.id = batch_id
        where state in (${sql.join(UNPAID)}) and not (${left})) as sum_units`
  const { rows } = await query.execute(db)
  return rows[0]?.sum_units ?? 0n
}
