// Proves from the rows that the money adds up, by several independent ways of counting; any of them can fail.
import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import { ACCOUNT_KINDS, type AccountKind, accounts, kindOf } from './accounts.ts'

/** The shape of routes/shapes.ts LedgerCheck. */
export interface LedgerReport {
  readonly ok: boolean
  readonly checks: { name: string; ok: boolean; detail: string }[]
}

type Sums = ReadonlyMap<string, bigint>
type Trx = Transaction<Database>

/** What the checks compare, read in one snapshot. */
interface Books {
  readonly balances: Sums
  readonly moved: Sums
  readonly owedByTasks: Sums
  readonly creditedReceipts: Sums
  readonly earned: Sums
  readonly heldBack: Sums
  readonly inPayout: Sums
  readonly paidOut: Sums
  readonly deposited: bigint
  readonly paidTwice: readonly string[]
}

async function sums(trx: Trx, query: RawBuilder<{ account: string; sum_units: bigint | null }>): Promise<Sums> {
  const { rows } = await query.execute(trx)
  return new Map(rows.map((row) => [row.account, row.sum_units ?? 0n]))
}

const balances = (trx: Trx) => sums(trx, sql`select id as account, balance_units as sum_units from accounts`)

/** What the transfers say each account holds. Added up per pair first: pairs are few, transfers may be millions. */
const moved = (trx: Trx) =>
  sums(
    trx,
    sql`
      with pairs as (
        select from_account, to_account, sum(amount_units) as amount from transfers group by from_account, to_account
      )
      select account, sum(amount) as sum_units from (
        select to_account as account, amount from pairs union all select from_account, -amount from pairs
      ) as both_sides group by account`,
  )

const owedByTasks = (trx: Trx) =>
  sums(
    trx,
    sql`select 'reserved:' || requester_id as account, sum(price_units) as sum_units
      from tasks where settled_at is null and price_units > 0 group by requester_id`,
  )

const creditedReceipts = (trx: Trx, onlyInHold: boolean) =>
  sums(
    trx,
    sql`select 'pending:' || owner_id as account, sum(amount_units) as sum_units from receipts
      where state = 'credited' and amount_units > 0 and (epoch_id is null or ${onlyInHold ? 0 : 1} = 1)
      group by owner_id`,
  )

const earned = (trx: Trx) =>
  sums(
    trx,
    sql`select to_account as account, sum(amount_units) as sum_units
      from transfers where kind = 'earn' group by to_account`,
  )

const payouts = (trx: Trx, account: 'in-payout' | 'paid', states: readonly PayoutState[]) =>
  sums(
    trx,
    sql`select ${account} || ':' || owner_id as account, sum(amount_units) as sum_units
      from payouts where state in (${sql.join(states)}) group by owner_id`,
  )

async function deposited(trx: Trx): Promise<bigint> {
  const net = await sums(
    trx,
    sql`select kind as account, sum(amount_units) as sum_units
      from transfers where kind in ('deposit', 'withdraw') group by kind`,
  )
  return (net.get('deposit') ?? 0n) - (net.get('withdraw') ?? 0n)
}

async function paidTwice(trx: Trx): Promise<string[]> {
  const { rows } = await sql<{ task: string }>`
    select task_id as task from receipts where state = 'credited' and amount_units > 0 group by task_id having count(*) > 1
    union select ref from transfers where kind = 'earn' group by ref having count(*) > 1`.execute(trx)
  return rows.map((row) => row.task)
}

const OPEN_PAYOUTS: readonly PayoutState[] = ['planned', 'signed', 'sent', 'confirmed', 'expired']

const readBooks = async (trx: Trx): Promise<Books> => ({
  balances: await balances(trx),
  moved: await moved(trx),
  owedByTasks: await owedByTasks(trx),
  creditedReceipts: await creditedReceipts(trx, false),
  heldBack: await creditedReceipts(trx, true),
  earned: await earned(trx),
  inPayout: await payouts(trx, 'in-payout', OPEN_PAYOUTS),
  paidOut: await payouts(trx, 'paid', ['finalized']),
  deposited: await deposited(trx),
  paidTwice: await paidTwice(trx),
})

const ofKind = (all: Sums, kind: AccountKind): Sums => new Map([...all].filter(([account]) => kindOf(account) === kind))

const total = (all: Sums): bigint => [...all.values()].reduce((sum, amount) => sum + amount, 0n)

/** The same sum in every account of either side; the first difference is named. */
function same(name: string, left: Sums, right: Sums, good: string): LedgerReport['checks'][number] {
  for (const account of new Set([...left.keys(), ...right.keys()])) {
    const [a, b] = [left.get(account) ?? 0n, right.get(account) ?? 0n]
    if (a !== b) return { name, ok: false, detail: `${account}: ${a} against ${b}, a difference of ${a - b}` }
  }
  return { name, ok: true, detail: `${good}: ${total(left)} in ${left.size} account(s)` }
}

function balanced({ balances: held, deposited: deposits }: Books): LedgerReport['checks'][number] {
  const kinds = ACCOUNT_KINDS.filter((kind) => kind !== 'outside')
  const parts = kinds.map((kind) => `${kind} ${total(ofKind(held, kind))}`).join(' + ')
  const inside = kinds.reduce((sum, kind) => sum + total(ofKind(held, kind)), 0n)
  const outside = held.get(accounts.outside) ?? 0n
  const ok = deposits === inside && inside + outside === 0n
  return { name: 'deposits are all accounted for', ok, detail: `deposits ${deposits} ${ok ? '=' : '≠'} ${parts}` }
}

function notOverdrawn({ balances: held }: Books): LedgerReport['checks'][number] {
  const name = 'no account is overdrawn'
  const overdrawn = [...held].find(([account, balance]) => balance < 0n && account !== accounts.outside)
  return overdrawn
    ? { name, ok: false, detail: `${overdrawn[0]} holds ${overdrawn[1]}` }
    : { name, ok: true, detail: `${held.size} account(s)` }
}

function onceOnly({ paidTwice: twice }: Books): LedgerReport['checks'][number] {
  const name = 'no task is paid twice'
  return twice.length > 0
    ? { name, ok: false, detail: `${twice.length} task(s), among them ${twice[0]}` }
    : { name, ok: true, detail: 'every task has at most one paid receipt' }
}

/** Money owed to others. What is in a payout may have left the treasury already, so it is no claim on what is there. */
const liabilitiesOf = (held: Sums): bigint =>
  (['budget', 'reserved', 'pending', 'payable', 'royalty'] as const).reduce(
    (sum, kind) => sum + total(ofKind(held, kind)),
    0n,
  )

function covered({ balances: held }: Books, treasury: bigint): LedgerReport['checks'][number] {
  const liabilities = liabilitiesOf(held)
  const detail = `the treasury holds ${treasury}, ${liabilities} are owed`
  return { name: 'the treasury covers what is owed', ok: treasury >= liabilities, detail }
}

/** `treasuryBalance`: base units on chain, when it could be read. */
export async function checkLedger(
  db: Kysely<Database>,
  { treasuryBalance }: { readonly treasuryBalance?: bigint } = {},
): Promise<LedgerReport> {
  const books = await db.transaction().execute(readBooks)
  const kind = (name: AccountKind): Sums => ofKind(books.balances, name)
  const checks = [
    same('balances equal their transfers', books.balances, books.moved, 'recomputed'),
    balanced(books),
    notOverdrawn(books),
    same('reserved money belongs to tasks', kind('reserved'), books.owedByTasks, 'reserved'),
    same('earnings equal credited receipts', books.earned, books.creditedReceipts, 'earned'),
    same('pending money belongs to receipts in the hold', kind('pending'), books.heldBack, 'pending'),
    onceOnly(books),
    same('money in payout belongs to open payouts', kind('in-payout'), books.inPayout, 'in payout'),
    same('paid money belongs to finalized payouts', kind('paid'), books.paidOut, 'paid'),
    ...(treasuryBalance === undefined ? [] : [covered(books, treasuryBalance)]),
  ]
  return { ok: checks.every((check) => check.ok), checks }
}
