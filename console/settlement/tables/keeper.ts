// Keeps the treasury's lookup tables: lists accounts where that pays, makes and fills tables, gives up what no longer pays or
// is in doubt, takes its rent back. All of it beside the payouts: no payout waits for any of it.
import { ChainError } from '../chain-error.ts'
import type { PayoutChain } from '../payer.ts'
import { type ActOptions, createTableActs } from './act.ts'
import { capacitiesOf, costsOf, demandOf, timesPaid } from './demand.ts'
import { list, readShelf, takeIn, usableTables } from './shelf.ts'
import { decideTable, type ShelfTable } from './step.ts'
import type { LookupTable } from './table-chain.ts'
import { type Capacities, isWorthKeeping, type TableTerms } from './worth.ts'

export interface KeeperOptions extends ActOptions {
  readonly chain: ActOptions['chain'] &
    Pick<PayoutChain, 'accountOf' | 'markerOf' | 'tables' | 'sizeOf' | 'treasury' | 'finalized'>
  /** When a table pays; undefined: there shall be none. */
  readonly terms: TableTerms | undefined
}

export interface TableKeeper {
  /** What a payout can go through now. */
  usable(): Promise<readonly LookupTable[]>
  /** After a settlement was planned: lists what should be listed by the next one. `wallets`: all that have an account. */
  consider(wallets: readonly string[]): Promise<unknown>
  /** One step for each table that has something to do; `all`: also looks after those that seem to be done. */
  tend(all: boolean): Promise<unknown>
  /** Tables that the treasury's history names; false when the chain did not tell of them. */
  takeIn(addresses: readonly string[]): Promise<boolean>
}

/** A node that answers all but this must not hold up payouts; one that answers nothing is asked again anyway. */
const TRIES = 3

const TAKEN_AT_ONCE = 100

const isGrowing = ({ state }: ShelfTable): boolean => state === 'growing'
/** What nothing was done for in a while is looked after with the rest, once an hour. */
const BUSY_MS = 15 * 60_000
const isBusy = ({ state, seen, accounts, updatedAt }: ShelfTable, now: number): boolean =>
  (state === 'leaving' || seen < accounts.length) && now < updatedAt + BUSY_MS
const addressesOf = (shelf: readonly ShelfTable[]): string[] => shelf.flatMap(({ address }) => address ?? [])

type Parts = Omit<KeeperOptions, 'terms'> & { readonly acts: ReturnType<typeof createTableActs> }

/** Those that were there for a whole period and saved too little in it. */
async function review({ db, chain, acts, now }: Parts, capacities: Capacities, terms: TableTerms): Promise<void> {
  const since = now() - terms.periodMs
  const old = (await readShelf(db)).filter((table) => isGrowing(table) && table.createdAt <= since)
  if (old.length === 0) return
  const times = await timesPaid(db, since)
  const costs = await costsOf(chain)
  for (const table of old) {
    const payouts = table.wallets.reduce((sum, wallet) => sum + (times.get(wallet) ?? 0), 0)
    const isGood = isWorthKeeping({ payouts, addresses: table.accounts.length }, capacities, costs, terms)
    if (!isGood) await acts.leave(table, 'its wallets are hardly paid any more')
  }
}

async function step({ db, chain, acts, now }: Parts, shelf: readonly ShelfTable[]): Promise<void> {
  const { slot, height } = await chain.finalized()
  const addresses = addressesOf(shelf)
  const seen = addresses.length > 0 ? await chain.tables(addresses) : { slot, found: new Map<string, never>() }
  for (const row of shelf) {
    const table = row.address === undefined ? undefined : seen.found.get(row.address)
    const there = table?.addresses.length ?? 0
    if (there !== row.seen)
      await db.updateTable('lookup_tables').set({ seen: there }).where('id', '=', row.id).execute()
    const current = { ...row, seen: there }
    const look = { table, slot, height, isCurrent: seen.slot >= slot, now: now() }
    await acts.act(current, decideTable(current, look), slot)
  }
}

/** False when the answering node had not seen what is final: it may lack some of them. */
async function takeInStrange({ db, chain, now, log }: Parts, addresses: readonly string[]): Promise<boolean> {
  const rows = await db.selectFrom('lookup_tables').select('address').where('address', 'in', addresses).execute()
  const known = new Set(rows.map(({ address }) => address))
  const strange = [...new Set(addresses)].filter((address) => !known.has(address))
  if (strange.length === 0) return true
  const final = await chain.finalized()
  // Anybody may write such a memo and name the treasury.
  const { found, slot } = await chain.tables(strange)
  const ours = strange.filter((address) => found.get(address)?.isOurs)
  if (ours.length === 0) return slot >= final.slot
  await db.transaction().execute((trx) => takeIn(trx, ours, now()))
  log.warn({ tables: ours }, 'lookup tables were found on the chain and not here; their rent is taken back')
  return slot >= final.slot
}

export function createTableKeeper({ terms, ...options }: KeeperOptions): TableKeeper {
  const { db, chain, now, log } = options
  const parts = { ...options, acts: createTableActs(options) }
  let known: Capacities | undefined
  const capacities = (): Capacities => {
    known ??= capacitiesOf(chain)
    return known
  }
  /** Named in the history, and the chain did not tell of them yet. */
  let untold: readonly string[] = []
  const takeInAll = async (addresses: readonly string[]): Promise<boolean> => {
    untold = addresses
    await unlessUnanswered(async () => {
      while (untold.length > 0 && (await takeInStrange(parts, untold.slice(0, TAKEN_AT_ONCE))))
        untold = untold.slice(TAKEN_AT_ONCE)
    })
    return untold.length === 0
  }
  let unanswered = 0

  /** What the chain does not answer is left for the next time. */
  const unlessUnanswered = async (work: () => Promise<void>): Promise<boolean> => {
    try {
      await work()
      return true
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      log.warn({ err: error }, 'lookup tables could not be seen to')
      return false
    }
  }
  const leaveAll = async (): Promise<void> => {
    for (const table of (await readShelf(db)).filter(isGrowing))
      await parts.acts.leave(table, 'lookup tables are switched off')
  }

  return {
    async usable() {
      if (terms === undefined) return []
      const shelf = (await readShelf(db)).filter((table) => isGrowing(table) && table.seen > 0)
      if (shelf.length === 0) return []
      try {
        const { found } = await chain.tables(addressesOf(shelf))
        unanswered = 0
        return usableTables(shelf, found)
      } catch (error) {
        if (!(error instanceof ChainError) || ++unanswered < TRIES) throw error
        log.warn({ err: error }, 'lookup tables cannot be read: payouts go without')
        return []
      }
    },
    consider: (wallets) =>
      unlessUnanswered(async () => {
        if (terms === undefined) return
        const demand = { wallets, shelf: await readShelf(db), capacities: capacities(), terms, now: now() }
        const listings = await demandOf(db, chain, demand)
        if (listings.length === 0) return
        const listed = await db.transaction().execute((trx) => list(trx, listings, now()))
        log.info({ accounts: listed }, 'accounts are put into lookup tables: that saves more than it costs')
      }),
    tend: (all) =>
      unlessUnanswered(async () => {
        if (untold.length > 0) await takeInAll(untold)
        const recent = db
          .selectFrom('lookup_tables')
          .select('id')
          .where('updated_at', '>', now() - BUSY_MS)
        if (!all && !(await recent.limit(1).executeTakeFirst())) return
        if (terms === undefined) await leaveAll()
        else if (all) await review(parts, capacities(), terms)
        const work = (await readShelf(db)).filter((table) => all || isBusy(table, now()))
        if (work.length > 0) await step(parts, work)
      }),
    // By portions: anybody may write as many such memos as he pays for.
    takeIn: takeInAll,
  }
}
