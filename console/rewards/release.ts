// The operator's word on a receipt in doubt: released, it is credited as any other; forfeited, its price goes back to the
// requester. Either way what was reserved for it is settled, once.
import type { Kysely } from 'kysely'
import { moveReceipt } from '../store/moves.ts'
import type { Database } from '../store/schema.ts'
import type { ReceiptState } from '../store/states.ts'
import { accounts } from './accounts.ts'
import { post, type Transfer } from './ledger.ts'
import { type Shares, split } from './split.ts'

export interface Verdict {
  readonly receipt: number
  readonly to: 'credited' | 'forfeited'
  /** Why, in the operator's words; kept with the receipt beside what put it in doubt. */
  readonly reason: string
  readonly now: number
  readonly shares: Shares
}

export type Decided =
  | { readonly state: 'credited' | 'forfeited'; readonly amount: bigint; readonly owner: string }
  | { readonly refused: 'unknown-receipt' }
  /** It is not held: nobody has to decide about it, or somebody has. */
  | { readonly refused: 'not-held'; readonly state: ReceiptState }

const heldRow = (trx: Kysely<Database>, receipt: number) =>
  trx
    .selectFrom('receipts')
    // A task that cost nothing may be forgotten by now.
    .leftJoin('tasks', 'tasks.id', 'receipts.task_id')
    .leftJoin('prices', 'prices.model', 'tasks.model')
    .select(['receipts.owner_id', 'receipts.reason', 'amount_units', 'task_id', 'requester_id', 'publisher'])
    .select('tasks.price_units')
    .where('receipts.id', '=', receipt)
    .where('receipts.state', '=', 'held')
    .executeTakeFirst()
type HeldRow = NonNullable<Awaited<ReturnType<typeof heldRow>>>

const priceOf = (row: HeldRow): bigint => row.price_units ?? 0n
const reservedFor = (row: HeldRow) => accounts.reserved(row.requester_id ?? '')

/**
 * The owner gets what the receipt has said since it came, whatever the shares have become; of the rest the publisher has
 * today's royalty at most, and the operator's fee is the remainder.
 */
function creditTransfers(row: HeldRow, { now, shares }: Verdict): Transfer[] {
  const rest = priceOf(row) - row.amount_units
  const due = row.publisher === null ? 0n : split(priceOf(row), shares).royalty
  const royalty = due < rest ? due : rest
  const shared = { ref: row.task_id, from: reservedFor(row), at: now } as const
  const all: Transfer[] = [
    { ...shared, kind: 'earn', to: accounts.pending(row.owner_id), amount: row.amount_units },
    { ...shared, kind: 'fee', to: accounts.operatorFees, amount: rest - royalty },
    { ...shared, kind: 'royalty', to: accounts.royalty(row.publisher ?? ''), amount: royalty },
  ]
  return all.filter(({ amount }) => amount > 0n)
}

const givenBack = (row: HeldRow, now: number): Transfer[] => {
  const to = accounts.budget(row.requester_id ?? '')
  const whole = {
    kind: 'release',
    ref: row.task_id,
    from: reservedFor(row),
    to,
    amount: priceOf(row),
    at: now,
  } as const
  return whole.amount > 0n ? [whole] : []
}

async function refusal(trx: Kysely<Database>, receipt: number): Promise<Decided> {
  const row = await trx.selectFrom('receipts').select('state').where('id', '=', receipt).executeTakeFirst()
  return row === undefined ? { refused: 'unknown-receipt' } : { refused: 'not-held', state: row.state }
}

/** Within the caller's transaction. Of two verdicts on one receipt the second is refused. */
export async function decideHeld(trx: Kysely<Database>, verdict: Verdict): Promise<Decided> {
  const { receipt, to, now } = verdict
  const row = await heldRow(trx, receipt)
  if (row === undefined) return refusal(trx, receipt)
  const said = to === 'credited' ? 'released' : 'forfeited'
  const reason = [row.reason, `${said}: ${verdict.reason}`].filter((part) => part !== null).join('; ')
  if (!(await moveReceipt(trx, receipt, 'held', to, { reason }))) return refusal(trx, receipt)
  await trx.updateTable('tasks').set({ settled_at: now }).where('id', '=', row.task_id).execute()
  await post(trx, to === 'credited' ? creditTransfers(row, verdict) : givenBack(row, now))
  return { state: to, amount: row.amount_units, owner: row.owner_id }
}
