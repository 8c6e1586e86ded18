// When a lookup table pays, and what is done next with one: both are pure, so every case is a line here.
import { describe, expect, it } from 'vitest'
import { decideTable, type ShelfTable, type TableLook } from '../../console/settlement/tables/step.ts'
import type { TableSight } from '../../console/settlement/tables/table-chain.ts'
import {
  isWorthKeeping,
  type Occasion,
  type TableCosts,
  TERMS,
  worthListing,
} from '../../console/settlement/tables/worth.ts'

/** As on mainnet: a fee of 5,000 lamports, and rent by the byte. */
const COSTS: TableCosts = { fee: 5_000, payout: 5_625, table: 1_280_640, address: 222_720 }
const CAPACITIES = { perPlain: 14, perTable: 38 }
const everybody = (wallets: number, times: number, over: Partial<Occasion> = {}): Occasion => ({
  ...CAPACITIES,
  due: wallets,
  listed: 0,
  room: 0,
  times: Array.from({ length: wallets }, () => times),
  ...over,
})
const listing = (occasion: Occasion, terms = TERMS): number => worthListing(occasion, COSTS, terms)

describe('a lookup table is made', () => {
  it('for wallets that are paid daily, and not for those paid weekly: their rent would earn more elsewhere', () => {
    expect(listing(everybody(1_000, 90))).toBeGreaterThan(900)
    expect(listing(everybody(1_000, 13))).toBe(0)
    // Were rent for nothing, a week's rhythm would do.
    expect(listing(everybody(1_000, 13), { ...TERMS, yieldPerYear: 0 })).toBeGreaterThan(900)
  })

  it('never where all that is due fits into one transaction as it is, or where nobody was paid before', () => {
    expect(listing(everybody(14, 1_000_000))).toBe(0)
    expect(listing(everybody(1_000, 0))).toBe(0)
  })

  it('for the wallets paid often alone, when the others would not earn their rent', () => {
    const times = [...Array.from({ length: 200 }, () => 90), ...Array.from({ length: 800 }, () => 1)]
    const count = listing(everybody(1_000, 0, { times }))
    expect(count).toBeGreaterThan(150)
    expect(count).toBeLessThanOrEqual(200)
  })

  it('in no larger part than saves a transaction: one more account would only lock rent', () => {
    // 45 take four transactions. With 31 in a table two are enough, and 14 go without; all 45 would need two as well.
    expect(listing(everybody(45, 90))).toBe(31)
    expect(listing(everybody(45, 90, { listed: 31, times: Array.from({ length: 14 }, () => 90) }))).toBe(0)
  })

  it('sooner where another one still has room', () => {
    const terms = { ...TERMS, yieldPerYear: 0 }
    // Two more save one transaction, once: that pays for putting them into a table, and not for a table of their own.
    const occasion = { times: [1, 1], listed: 4 }
    expect(listing(everybody(20, 1, { ...occasion, room: 0 }), terms)).toBe(0)
    expect(listing(everybody(20, 1, { ...occasion, room: 2 }), terms)).toBe(2)
  })
})

it('a table stays while it brings in half of what its rent would earn', () => {
  const isKept = (payouts: number) => isWorthKeeping({ payouts, addresses: 256 }, CAPACITIES, COSTS, TERMS)
  // 256 accounts lock 58,296,960 lamports: 1,006,200 a quarter at 7 %; a payout saves 254.
  expect(isKept(1_990)).toBe(true)
  expect(isKept(1_970)).toBe(false)
  expect(isKept(0)).toBe(false)
})

const DAY_MS = 86_400_000
const ACCOUNTS = Array.from({ length: 30 }, (_, index) => `account ${index}`)
const ROW: ShelfTable = {
  id: 1,
  address: 'table',
  state: 'growing',
  accounts: ACCOUNTS,
  wallets: ACCOUNTS,
  seen: 20,
  sent: 20,
  sentUntil: 1_000,
  createdAt: 0,
  updatedAt: 0,
}
const TABLE: TableSight = { isOurs: true, deactivatedAt: undefined, addresses: ACCOUNTS.slice(0, 20), usable: 20 }
const LOOK: TableLook = { now: 1_000, table: TABLE, slot: 2_000, height: 1_500, isCurrent: true }
const next = (row: Partial<ShelfTable>, look: Partial<TableLook> = {}) =>
  decideTable({ ...ROW, ...row }, { ...LOOK, ...look })
const WAITING = { do: 'wait' }

describe('a table on the shelf', () => {
  it('is made with as many accounts as fit, then filled with the rest', () => {
    expect(next({ address: undefined, seen: 0 })).toEqual({ do: 'make', accounts: ACCOUNTS.slice(0, 20) })
    expect(next({})).toEqual({ do: 'extend', accounts: ACCOUNTS.slice(20) })
    expect(next({ accounts: ACCOUNTS.slice(0, 20) })).toEqual(WAITING)
  })

  it('gets nothing more while something may still land, and again what cannot land any more', () => {
    expect(next({ sent: 30, sentUntil: 1_500 })).toEqual(WAITING)
    expect(next({ sent: 30, sentUntil: 1_499 })).toEqual({ do: 'extend', accounts: ACCOUNTS.slice(20) })
    expect(next({ sent: 20, sentUntil: 1_500 })).toEqual({ do: 'extend', accounts: ACCOUNTS.slice(20) })
  })

  it('is given up when it is not there, was deactivated, or lists anything else than was written', () => {
    expect(next({}, { table: undefined, height: 1_000 })).toEqual(WAITING)
    expect(next({}, { table: undefined })).toMatchObject({ do: 'leave' })
    expect(next({}, { table: { ...TABLE, deactivatedAt: 5 } })).toMatchObject({ do: 'leave' })
    for (const addresses of [
      ['account 1', 'account 0'],
      [...ACCOUNTS, 'more'],
      ['account 0', 'account 0'],
    ])
      expect(next({}, { table: { ...TABLE, addresses } })).toMatchObject({ do: 'leave' })
    expect(next({}, { table: { ...TABLE, isOurs: false } })).toMatchObject({ do: 'forget' })
  })

  it('is deactivated, closed after the cool-down, and forgotten a day after it is gone', () => {
    const state = 'leaving' as const
    expect(next({ state })).toEqual({ do: 'deactivate' })
    expect(next({ state, sentUntil: 1_500 })).toEqual(WAITING)
    const gone = { ...TABLE, deactivatedAt: 1_359 }
    expect(next({ state }, { table: { ...gone, deactivatedAt: 1_360 } })).toEqual(WAITING)
    expect(next({ state }, { table: gone })).toEqual({ do: 'close' })
    expect(next({ state }, { table: undefined, now: DAY_MS - 1 })).toEqual(WAITING)
    expect(next({ state }, { table: undefined, now: DAY_MS })).toMatchObject({ do: 'forget' })
    expect(next({ state, address: undefined })).toMatchObject({ do: 'forget' })
  })

  it('is left as it is on the word of a node that lags', () => {
    for (const state of ['growing', 'leaving'] as const)
      for (const table of [undefined, TABLE, { ...TABLE, addresses: [] }])
        expect(next({ state }, { table, isCurrent: false, now: DAY_MS })).toEqual(WAITING)
  })
})
