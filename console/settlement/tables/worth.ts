// Whether a lookup table pays: a pure rule. Fees are spent and gone; rent is only locked, and counts as what it would have
// earned elsewhere meanwhile.

export interface TableTerms {
  /** How far is looked back, and taken to be how things go on for as long. */
  readonly periodMs: number
  /** What locked lamports would bring in a year, as a share. */
  readonly yieldPerYear: number
}

const DAY_MS = 86_400_000

/** A quarter: long enough to tell a rhythm, short enough to notice its end. 7 %: what staked SOL brings, rounded up. */
export const TERMS: TableTerms = { periodMs: 90 * DAY_MS, yieldPerYear: 0.07 }

/** In lamports. */
export interface TableCosts {
  /** Of one transaction: its fee and its share in taking back its marker. */
  readonly payout: number
  /** Of a transaction without a marker. */
  readonly fee: number
  /** Locked by an empty table, and by each account in it. */
  readonly table: number
  readonly address: number
}

/** As many payouts fit into one transaction, without a table and with one. */
export interface Capacities {
  readonly perPlain: number
  readonly perTable: number
}

/** A settlement, counted in wallets. */
export interface Occasion extends Capacities {
  /** All that are due, and those of them whose account can be taken from a table already. */
  readonly due: number
  readonly listed: number
  /** Accounts that our tables still have room for. */
  readonly room: number
  /** Of each wallet that is due and in no table: how often it was paid in the period. Most often first. */
  readonly times: readonly number[]
}

export const ADDRESSES_PER_TRANSACTION = 20
const TABLE_ADDRESSES = 256
/** A table is deactivated by one transaction and closed by another. */
const FEES_OF_AN_END = 2

/** What locked lamports would have earned in a period. */
const interest = (lamports: number, { periodMs, yieldPerYear }: TableTerms): number =>
  (lamports * yieldPerYear * periodMs) / (365 * DAY_MS)

const transactionsOf = ({ due, perPlain, perTable }: Occasion, listed: number): number =>
  Math.ceil(listed / perTable) + Math.ceil((due - listed) / perPlain)

/**
 * How many of the wallets, from the first one, should be listed; 0 when none pays. They are taken to be paid together as
 * often as the rarest of them was: each time that saves transactions. The number with the largest gain over its cost wins.
 */
export function worthListing(occasion: Occasion, costs: TableCosts, terms: TableTerms): number {
  const now = transactionsOf(occasion, occasion.listed)
  let [best, count] = [0, 0]
  for (const [index, times] of occasion.times.entries()) {
    const added = index + 1
    const saved = now - transactionsOf(occasion, occasion.listed + added)
    const tables = Math.ceil(Math.max(added - occasion.room, 0) / TABLE_ADDRESSES)
    const fees = (Math.ceil(added / ADDRESSES_PER_TRANSACTION) + FEES_OF_AN_END * tables) * costs.fee
    const locked = tables * costs.table + added * costs.address
    const gain = saved * times * costs.payout - fees - interest(locked, terms)
    if (gain > best) [best, count] = [gain, added]
  }
  return count
}

/** It may bring in half of what it costs before it is given up: making another would cost fees again. */
const LEAST_SHARE = 0.5

/** Whether a table that was there for a whole period stays. `payouts`: to the wallets in it, in the period. */
export function isWorthKeeping(
  table: { readonly payouts: number; readonly addresses: number },
  { perPlain, perTable }: Capacities,
  costs: TableCosts,
  terms: TableTerms,
): boolean {
  const saved = table.payouts * costs.payout * (1 / perPlain - 1 / perTable)
  return saved >= LEAST_SHARE * interest(costs.table + table.addresses * costs.address, terms)
}
