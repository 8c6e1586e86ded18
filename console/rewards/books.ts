// What the ledger check compares, read in one snapshot: each table added up once, in the database.
import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import type { AccountId } from './accounts.ts'
import { readLiabilities } from './liabilities.ts'

/** All transfers of one kind between the same two accounts. */
export interface Flow {
  readonly kind: string
  readonly from: string
  readonly to: string
  readonly sum_units: bigint
}

/** Credited and paid receipts of one owner in one epoch; `epoch` null: in the hold. */
export interface Earned {
  readonly owner: string
  readonly epoch: number | null
  readonly count: number
  readonly sum_units: bigint
}

/** Unsettled tasks of one requester; `held_units` is what receipts in doubt lay claim to. */
export interface Owed {
  readonly requester: string
  readonly sum_units: bigint
  readonly held_units: bigint
}

export interface Paying {
  readonly payee: string
  readonly state: PayoutState
  readonly sum_units: bigint
}

export interface ClosedRow {
  readonly id: number
  readonly root: string | null
  readonly head: string | null
  readonly leaves: number | null
}

export interface Books {
  readonly balances: ReadonlyMap<string, bigint>
  readonly flows: readonly Flow[]
  readonly owed: readonly Owed[]
  readonly earned: readonly Earned[]
  readonly matured: ReadonlyMap<string, bigint>
  readonly paying: readonly Paying[]
  readonly closed: readonly ClosedRow[]
  readonly paidTwice: readonly string[]
  /** Tasks of held receipts whose price is not reserved any more. */
  readonly bereft: readonly string[]
  /** Base units that the treasury must still be able to pay. */
  readonly liabilities: bigint
  /** Signatures of deposits that are called credited and were not, or otherwise. */
  readonly uncredited: readonly string[]
}

type Trx = Transaction<Database>

const rowsOf = async <T>(trx: Trx, query: RawBuilder<T>): Promise<readonly T[]> => (await query.execute(trx)).rows

async function sumsOf(trx: Trx, query: RawBuilder<{ name: string; sum_units: bigint }>): Promise<Map<string, bigint>> {
  return new Map((await rowsOf(trx, query)).map((row) => [row.name, row.sum_units]))
}

/** Transfers may be millions, and what differs in kind, from and to is few: one pass over the table serves every check. */
const flows = sql<Flow>`
  select kind, from_account as "from", to_account as "to", sum(amount_units) as sum_units
  from transfers group by kind, from_account, to_account`

const owed = sql<Owed>`
  select requester_id as requester, sum(price_units) as sum_units,
    coalesce(sum(price_units) filter (where id in (select task_id from receipts where state = 'held')), 0) as held_units
  from tasks where settled_at is null and price_units > 0 group by requester_id`

const earned = sql<Earned>`
  select owner_id as owner, epoch_id as epoch, count(*) as count, sum(amount_units) as sum_units
  from receipts where state = 'credited' and amount_units > 0 group by owner_id, epoch_id`

const paying = sql<Paying>`
  select payee, state, sum(amount_units) as sum_units
  from payouts join payout_batches on payout_batches.id = payouts.batch_id group by payee, state`

const twice = sql<{ task: string }>`
  select task_id as task from receipts where state = 'credited' and amount_units > 0 group by task_id having count(*) > 1
  union select ref from transfers where kind = 'earn' group by ref having count(*) > 1`

const bereft = sql<{ task: string }>`
  select task_id as task from receipts left join tasks on tasks.id = task_id
  where receipts.state = 'held' and amount_units > 0 and (tasks.id is null or tasks.settled_at is not null)`

const uncredited = sql<{ signature: string }>`
  select signature from deposits left join transfers on kind = 'deposit' and ref = signature
    and to_account = 'budget:' || requester_id and transfers.amount_units = deposits.amount_units
  where state = 'credited' and transfers.id is null`

async function read(trx: Trx, landed: readonly string[]): Promise<Books> {
  return {
    balances: await sumsOf(trx, sql`select id as name, balance_units as sum_units from accounts`),
    flows: await rowsOf(trx, flows),
    owed: await rowsOf(trx, owed),
    earned: await rowsOf(trx, earned),
    matured: await sumsOf(
      trx,
      sql`select ref as name, sum(amount_units) as sum_units from transfers where kind = 'mature' group by ref`,
    ),
    paying: await rowsOf(trx, paying),
    closed: await trx
      .selectFrom('epochs')
      .select(['id', 'root', 'head', 'leaves'])
      .where('closed_at', 'is not', null)
      .orderBy('id')
      .execute(),
    paidTwice: (await rowsOf(trx, twice)).map(({ task }) => task),
    bereft: (await rowsOf(trx, bereft)).map(({ task }) => task),
    liabilities: await readLiabilities(trx, landed),
    uncredited: (await rowsOf(trx, uncredited)).map(({ signature }) => signature),
  }
}

/** `landed`: markers of batches whose money has left the treasury. */
export const readBooks = (db: Kysely<Database>, landed: readonly string[]): Promise<Books> =>
  db.transaction().execute((trx) => read(trx, landed))

/** What the flows say that each account holds. */
export function heldByFlows(all: readonly Flow[]): Map<string, bigint> {
  const held = new Map<string, bigint>()
  for (const { from, to, sum_units: sum } of all) {
    held.set(from, (held.get(from) ?? 0n) - sum)
    held.set(to, (held.get(to) ?? 0n) + sum)
  }
  return held
}

/** Sums per name of the rows that `nameOf` names. */
export function addUp<T extends { readonly sum_units: bigint }>(
  rows: readonly T[],
  nameOf: (row: T) => AccountId | `epoch:${number}` | undefined,
): Map<string, bigint> {
  const sums = new Map<string, bigint>()
  for (const row of rows) {
    const name = nameOf(row)
    if (name !== undefined) sums.set(name, (sums.get(name) ?? 0n) + row.sum_units)
  }
  return sums
}
