// Double entry: money only ever moves from one account to another, so every transfer sums to zero by its shape.
// Balances are kept beside the transfers and must equal their sums (rewards/check.ts).
import { type Kysely, sql } from 'kysely'
import type { Database } from '../store/schema.ts'
import { type AccountId, kindOf } from './accounts.ts'

export type TransferKind =
  /** outside → budget: what the chain brought. */
  | 'deposit'
  /** outside → budget: what the operator puts in without a deposit. */
  | 'grant'
  | 'reserve'
  | 'release'
  | 'earn'
  | 'fee'
  | 'royalty'
  | 'mature'
  | 'payout'
  | 'paid'
  | 'payout-failed'
  /** outside → paid: found on the chain and not here, beyond what was payable here. */
  | 'adopted'
  /** paid → outside: the whole of an `adopted` whose payee the operator named; what follows books it to that payee. */
  | 'attributed'
  /** payable → operator's fees: the rent of a wallet's token account, withheld once. */
  | 'account-fee'

export interface Transfer {
  readonly kind: TransferKind
  /** What it is about: a task, epoch, payout or deposit id. The same (kind, ref, to) is posted once, ever. */
  readonly ref: string
  readonly from: AccountId
  readonly to: AccountId
  /** Base units, above zero. */
  readonly amount: bigint
  /** Epoch milliseconds. */
  readonly at: number
}

export class LedgerError extends Error {
  override readonly name = 'LedgerError'
  /** `insufficient`: an account would fall below zero. `conflict`: the same (kind, ref, to) was posted otherwise. */
  readonly code: 'insufficient' | 'conflict' | 'not-positive'
  readonly account: AccountId

  constructor(code: LedgerError['code'], account: AccountId, message: string) {
    super(message)
    this.code = code
    this.account = account
  }
}

/** SQLite takes 32,766 variables per statement; 100 rows keep the text short enough to stay prepared. */
const ROWS_PER_INSERT = 100

function chunks<T>(items: readonly T[], size: number): (readonly T[])[] {
  const parts: (readonly T[])[] = []
  for (let start = 0; start < items.length; start += size) parts.push(items.slice(start, start + size))
  return parts
}

async function openAccounts(trx: Kysely<Database>, ids: Iterable<string>): Promise<void> {
  const rows = [...ids].map((id) => ({ id, kind: kindOf(id), balance_units: 0n }))
  for (const part of chunks(rows, ROWS_PER_INSERT))
    await trx
      .insertInto('accounts')
      .values([...part])
      .onConflict((conflict) => conflict.column('id').doNothing())
      .execute()
}

const keyOf = (kind: string, ref: string, to: string): string => `${kind}\n${ref}\n${to}`

async function refuseConflicts(trx: Kysely<Database>, repeated: readonly Transfer[]): Promise<void> {
  for (const { kind, ref, from, to, amount } of repeated) {
    const row = await trx
      .selectFrom('transfers')
      .select(['from_account', 'amount_units'])
      .where('kind', '=', kind)
      .where('ref', '=', ref)
      .where('to_account', '=', to)
      .executeTakeFirstOrThrow()
    if (row.from_account !== from || row.amount_units !== amount)
      throw new LedgerError(
        'conflict',
        to,
        `${kind} ${ref} → ${to} was posted as ${row.amount_units} from ${row.from_account}, now ${amount} from ${from}`,
      )
  }
}

/** Inserts what is new and returns it; what was posted before must have been the same. */
async function record(trx: Kysely<Database>, transfers: readonly Transfer[]): Promise<readonly Transfer[]> {
  const fresh: Transfer[] = []
  for (const part of chunks(transfers, ROWS_PER_INSERT)) {
    const inserted = await trx
      .insertInto('transfers')
      .values(
        part.map(({ at, kind, ref, from, to, amount }) => ({
          at,
          kind,
          ref,
          from_account: from,
          to_account: to,
          amount_units: amount,
        })),
      )
      .onConflict((conflict) => conflict.columns(['kind', 'ref', 'to_account']).doNothing())
      .returning(['kind', 'ref', 'to_account'])
      .execute()
    const keys = new Set(inserted.map((row) => keyOf(row.kind, row.ref, row.to_account)))
    // A key leaves the set with its first transfer: a repetition within one call counts as posted before.
    const isNew = ({ kind, ref, to }: Transfer): boolean => keys.delete(keyOf(kind, ref, to))
    const repeated: Transfer[] = []
    for (const transfer of part) (isNew(transfer) ? fresh : repeated).push(transfer)
    await refuseConflicts(trx, repeated)
  }
  return fresh
}

function netChanges(transfers: readonly Transfer[]): Map<AccountId, bigint> {
  const net = new Map<AccountId, bigint>()
  for (const { from, to, amount } of transfers) {
    net.set(from, (net.get(from) ?? 0n) - amount)
    net.set(to, (net.get(to) ?? 0n) + amount)
  }
  return net
}

async function applyChange(trx: Kysely<Database>, account: AccountId, change: bigint): Promise<void> {
  let update = trx
    .updateTable('accounts')
    .set({ balance_units: sql<bigint>`balance_units + ${change}` })
    .where('id', '=', account)
  if (change < 0n && account !== 'outside') update = update.where('balance_units', '>=', -change)
  const { numUpdatedRows } = await update.executeTakeFirst()
  if (numUpdatedRows === 1n) return
  const balance = await balanceOf(trx, account)
  throw new LedgerError('insufficient', account, `${account} holds ${balance}, ${-change} were asked of it`)
}

/**
 * Posts transfers within the caller's transaction and returns how many were new: a repetition of one already posted
 * changes nothing. Throws LedgerError `insufficient` or `conflict`, upon which the whole transaction must roll back.
 */
export async function post(trx: Kysely<Database>, transfers: readonly Transfer[]): Promise<number> {
  if (transfers.length === 0) return 0
  for (const { to, amount, kind, ref } of transfers)
    if (amount <= 0n) throw new LedgerError('not-positive', to, `${kind} ${ref} of ${amount} moves nothing`)
  await openAccounts(trx, new Set(transfers.flatMap(({ from, to }) => [from, to])))
  const fresh = await record(trx, transfers)
  for (const [account, change] of netChanges(fresh)) if (change !== 0n) await applyChange(trx, account, change)
  return fresh.length
}

/** Base units; an account never used holds nothing. */
export async function balanceOf(db: Kysely<Database>, account: AccountId): Promise<bigint> {
  const row = await db.selectFrom('accounts').select('balance_units').where('id', '=', account).executeTakeFirst()
  return row?.balance_units ?? 0n
}
