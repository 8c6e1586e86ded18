// What a restored database took in from the chain and cannot say for whom: payouts wait until the operator names the payee, or takes
// it as a loss. Whoever it was is still owed it here, and would be paid again.
import { type Kysely, sql } from 'kysely'
import { accounts } from '../rewards/accounts.ts'
import { balanceOf, post } from '../rewards/ledger.ts'
import { lostPayee, type Payee, sourceOf } from '../rewards/payees.ts'
import type { Database } from '../store/schema.ts'
import { least, transfersOf } from './adopt.ts'
import type { Share } from './payer.ts'

const ALL = accounts.paid(lostPayee(''))
/** In the order of characters `0` follows on `/`. */
const BEHIND_ALL = `${ALL.slice(0, -1)}0`

/** By address, what is nobody's yet. */
export async function lostShares(db: Kysely<Database>): Promise<Share[]> {
  const rows = await db
    .selectFrom('accounts')
    .select(['id', 'balance_units'])
    .where('id', '>=', ALL)
    .where('id', '<', BEHIND_ALL)
    .where('balance_units', '>', 0n)
    .orderBy('id')
    .execute()
  return rows.map(({ id, balance_units: units }) => ({ wallet: id.slice(ALL.length), units }))
}

/** Why payouts wait for the operator (a sentence for people); undefined when nothing is lost. */
export async function lostTrouble(db: Kysely<Database>): Promise<string | undefined> {
  const [first, ...more] = await lostShares(db)
  if (first === undefined) return undefined
  const others = more.length === 0 ? '' : ` (and as well to ${more.length} other address(es))`
  const paid = `the chain paid ${first.units} base units to ${first.wallet}${others}, and this database does not know whose it is`
  return `payouts wait: ${paid}; say so: bramble rewards attribute ${first.wallet} OWNER, or --write-off`
}

/** For how long a restored database is spoken of. */
const NOTICE_MS = 7 * 86_400_000

/** What the chain paid to known payees beyond what was owed to them here; undefined when there is no such news. */
export async function beyondNotice(db: Kysely<Database>, now: number): Promise<string | undefined> {
  const rows = await db
    .selectFrom('transfers as t')
    .innerJoin('payouts as p', 'p.id', 't.ref')
    .innerJoin('payout_batches as b', 'b.id', 'p.batch_id')
    .select(['p.payee', 't.amount_units'])
    .where('t.kind', '=', 'adopted')
    .where('t.to_account', '=', sql<string>`'paid:' || p.payee`)
    .where('p.payee', 'not like', lostPayee('%'))
    .where('p.payee', 'not like', 'written-off/%')
    .where('b.adopted_at', '>', now - NOTICE_MS)
    .orderBy('t.id')
    .execute()
  const [first] = rows
  if (first === undefined) return undefined
  const units = rows.reduce((sum, { amount_units }) => sum + amount_units, 0n)
  const payees = new Set(rows.map(({ payee }) => payee))
  const whom = payees.size === 1 ? first.payee : `${payees.size} payees, among them ${first.payee}`
  return `this database came from a backup: the chain had paid ${units} base units to ${whom} that nothing here accounts for; credit them for nothing of before again`
}

export interface Attribution {
  readonly address: string
  /** What of it was owed to the payee, and now is paid. */
  readonly owed: bigint
  /** The rest: paid by nobody's account here. */
  readonly beyond: bigint
}

export type Attributed =
  | Attribution
  /** `nothing-lost`: nothing at this address waits. `under-way`: an open payout may hold the same money; it is ended first. */
  | { readonly refused: 'nothing-lost' | 'under-way' }

/**
 * Within the caller's transaction: what the address got becomes this payee's, out of what it is owed. In the books it is then as if
 * the payout had been taken in for it at once.
 */
export async function attribute(
  trx: Kysely<Database>,
  { address, payee, now }: { readonly address: string; readonly payee: Payee; readonly now: number },
): Promise<Attributed> {
  const lost = lostPayee(address)
  const lines = await trx
    .selectFrom('payouts as p')
    .innerJoin('payout_batches as b', 'b.id', 'p.batch_id')
    .select(['p.id', 'p.amount_units'])
    .where('p.payee', '=', lost)
    .orderBy('b.created_at')
    .execute()
  if (lines.length === 0) return { refused: 'nothing-lost' }
  if ((await balanceOf(trx, accounts.inPayout(payee))) > 0n) return { refused: 'under-way' }
  let [owedInAll, units] = [0n, 0n]
  for (const { id, amount_units: amount } of lines) {
    const owed = least(amount, await balanceOf(trx, sourceOf(payee)))
    await trx.updateTable('payouts').set({ payee }).where('id', '=', id).execute()
    await post(trx, [
      { kind: 'attributed', ref: id, from: accounts.paid(lost), to: accounts.outside, amount, at: now },
      ...transfersOf({ payee, units: amount, owed }, id, now),
    ])
    owedInAll += owed
    units += amount
  }
  return { address, owed: owedInAll, beyond: units - owedInAll }
}
