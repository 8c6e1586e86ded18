// The account of one payee over a time: what it had, line by line what came and went, what it has. An owner's is what is owed
// to it, in the hold or out of it; a requester's is its budget with what is reserved; a publisher's its royalties; the operator's its
// fees.
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Database } from '../store/schema.ts'
import { type AccountId, accounts } from './accounts.ts'
import { OPERATOR_FEES, type Payee } from './payees.ts'

export interface StatementLine {
  /** Epoch milliseconds; of lines that are a sum, of the last that is in it. */
  readonly at: number
  readonly what: string
  /** What it is about: a deposit, payout or day. */
  readonly ref: string
  /** How many answers a sum is of; 1 for a single transfer. */
  readonly count: number
  /** Base units; below zero what left. */
  readonly amount: bigint
  /** After this line. */
  readonly balance: bigint
}

export interface Statement {
  readonly payee: Payee
  /** From `from` on, until just before `to`. */
  readonly from: number
  readonly to: number
  readonly opening: bigint
  readonly lines: readonly StatementLine[]
  readonly closing: bigint
}

export interface Period {
  readonly payee: Payee
  readonly from: number
  readonly to: number
}

/** The accounts that are together what a payee has: moves between them change nothing for it. */
function holdings(payee: Payee): AccountId[] {
  const [kind = '', id] = payee.split('/')
  if (id === undefined) return [accounts.pending(kind), accounts.payable(kind), accounts.inPayout(kind)]
  if (kind === 'requester') return [accounts.budget(id), accounts.reserved(id), accounts.inPayout(payee)]
  if (payee === OPERATOR_FEES) return [accounts.operatorFees, accounts.inPayout(payee)]
  return [accounts.royalty(id), accounts.inPayout(payee)]
}

/** What a kind of transfer is called, and whether a day's are added up: of answers there may be millions. */
const WORDS: Readonly<Record<string, { readonly what: string; readonly daily?: true }>> = {
  deposit: { what: 'deposit' },
  grant: { what: 'credit by the operator' },
  earn: { what: 'answers', daily: true },
  fee: { what: 'answers', daily: true },
  royalty: { what: 'answers', daily: true },
  paid: { what: 'paid out' },
  'account-fee': { what: 'rent of the token account' },
}

const DAY_MS = 86_400_000

/** Transfers over the border of the holdings, signed: out of them below zero. */
const crossing = (held: readonly AccountId[]): RawBuilder<unknown> => {
  const list = sql.join(held)
  return sql`
    select id, at, kind, ref, case when to_account in (${list}) then amount_units else -amount_units end as signed
    from transfers where (to_account in (${list})) <> (from_account in (${list}))`
}

interface Row {
  readonly at: number
  readonly kind: string
  readonly ref: string
  readonly count: number
  readonly sum_units: bigint
}

const daily = sql.join(Object.keys(WORDS).filter((kind) => WORDS[kind]?.daily))
const day = sql`at - at % ${sql.lit(DAY_MS)}`

/**
 * The three parts of a price are one line, and so are a day's answers as long as nothing else stands between them: so the
 * balance after each line is the one there was at its time.
 */
const rows = (held: readonly AccountId[], { from, to }: Period): RawBuilder<Row> => sql<Row>`
  with crossing as (${crossing(held)}),
  marked as (
    select *, kind in (${daily}) as is_daily, sum(case when kind in (${daily}) then 0 else 1 end) over (order by at, id) as singles
    from crossing where at >= ${from} and at < ${to}
  )
  select max(at) as at, case when is_daily then 'earn' else max(kind) end as kind,
    case when is_daily then '' else max(ref) end as ref,
    count(distinct ref) as count, sum(signed) as sum_units
  from marked group by singles, is_daily, ${day} order by at, max(id)`

async function balanceBefore(db: Kysely<Database>, held: readonly AccountId[], at: number): Promise<bigint> {
  const query = sql<{ sum_units: bigint }>`
    select coalesce(sum(signed), 0) as sum_units from (${crossing(held)}) as crossing where at < ${at}`
  return (await query.execute(db)).rows[0]?.sum_units ?? 0n
}

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)

export async function statementOf(db: Kysely<Database>, period: Period): Promise<Statement> {
  const held = holdings(period.payee)
  // One snapshot: the lines must follow from the balance before them.
  return db.transaction().execute(async (trx) => {
    const opening = await balanceBefore(trx, held, period.from)
    let balance = opening
    const lines = (await rows(held, period).execute(trx)).rows.map((row): StatementLine => {
      balance += row.sum_units
      const { what, daily: isDaily } = WORDS[row.kind] ?? { what: row.kind }
      const ref = isDaily ? dayOf(row.at) : row.ref
      return { at: row.at, what, ref, count: row.count, amount: row.sum_units, balance }
    })
    return { ...period, opening, lines, closing: balance }
  })
}

/** Whether there is such a payee; a statement of nobody would be an empty one, and a misspelt name must not look like that. */
export async function isPayee(db: Kysely<Database>, payee: Payee): Promise<boolean> {
  const [kind = '', id] = payee.split('/')
  if (id === undefined)
    return (await db.selectFrom('owners').select('id').where('id', '=', kind).executeTakeFirst()) !== undefined
  if (kind === 'requester')
    return (await db.selectFrom('requesters').select('id').where('id', '=', id).executeTakeFirst()) !== undefined
  if (kind !== 'publisher') return payee === OPERATOR_FEES
  const account = db.selectFrom('accounts').select('id').where('id', '=', accounts.royalty(id))
  return (await account.executeTakeFirst()) !== undefined
}
