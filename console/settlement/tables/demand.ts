// Whether the payouts that are due call for more accounts in lookup tables: what worth.ts is asked with.
import type { Kysely } from 'kysely'
import type { Database } from '../../store/schema.ts'
import { encodeBase58 } from '../base58.ts'
import { most } from '../fill.ts'
import { memoOf } from '../memo.ts'
import { MAX_TRANSACTION_BYTES, type PayoutChain } from '../payer.ts'
import type { Listing } from './shelf.ts'
import type { ShelfTable } from './step.ts'
import { type LookupTable, MAX_ADDRESSES } from './table-chain.ts'
import { type Capacities, type TableCosts, type TableTerms, worthListing } from './worth.ts'

type Chain = Pick<PayoutChain, 'accountOf' | 'markerOf' | 'sizeOf' | 'feeLamports' | 'tableRents' | 'treasury'>

/** As reclaim.ts takes them back. */
const MARKERS_PER_TRANSACTION = 8
const NONE: ReadonlySet<string> = new Set()

/** How often each wallet was paid since then, and finally so. */
export async function timesPaid(db: Kysely<Database>, since: number): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('payouts as p')
    .innerJoin('payout_batches as b', 'b.id', 'p.batch_id')
    .select(({ fn }) => ['p.wallet', fn.countAll<number>().as('times')])
    .where('b.created_at', '>=', since)
    .where('b.state', '=', 'finalized')
    .groupBy('p.wallet')
    .execute()
  return new Map(rows.map(({ wallet, times }) => [wallet, Number(times)]))
}

export async function costsOf(chain: Pick<Chain, 'feeLamports' | 'tableRents'>): Promise<TableCosts> {
  const { table, address } = await chain.tableRents()
  const fee = Number(chain.feeLamports)
  return { fee, payout: fee + fee / MARKERS_PER_TRANSACTION, table: Number(table), address: Number(address) }
}

/** More than any transaction holds. */
const SAMPLE_LINES = 64

/** How many payouts fit into one transaction of this treasury, without a table, and with one that lists all their accounts. */
export function capacitiesOf(chain: Chain): Capacities {
  const id = 'e1000-1000'
  const payment = { id, memo: memoOf(id, 'A'.repeat(43)), marker: chain.markerOf(id) }
  // Whose accounts they are does not change their size.
  const lines = Array.from({ length: SAMPLE_LINES }, (_, index) => {
    return { wallet: encodeBase58(Buffer.alloc(32, index + 1)), units: 1n }
  })
  const holds = (through: readonly LookupTable[]): number => {
    const bytes = (count: number): number => chain.sizeOf({ ...payment, lines: lines.slice(0, count) }, NONE, through)
    return most(1, (count) => count <= lines.length && bytes(count) <= MAX_TRANSACTION_BYTES)
  }
  let perTable: number | undefined
  return {
    perPlain: holds([]),
    // Deriving so many accounts takes a while, and few consoles pay as many as would make a table worth thinking of.
    get perTable() {
      perTable ??= holds([{ address: chain.treasury, addresses: lines.map(({ wallet }) => chain.accountOf(wallet)) }])
      return perTable
    },
  }
}

export interface Demand {
  /** Of everybody who is due now and has a token account. */
  readonly wallets: readonly string[]
  readonly shelf: readonly ShelfTable[]
  readonly capacities: Capacities
  readonly terms: TableTerms
  readonly now: number
}

/** The accounts that should be listed now, those paid most often first. */
export async function demandOf(db: Kysely<Database>, chain: Chain, demand: Demand): Promise<Listing[]> {
  const { shelf, capacities, terms, now } = demand
  const wallets = [...new Set(demand.wallets)]
  if (wallets.length <= capacities.perPlain) return []
  const growing = shelf.filter(({ state }) => state === 'growing')
  const listed = new Set(growing.flatMap(({ accounts }) => accounts))
  const times = await timesPaid(db, now - terms.periodMs)
  const open = wallets
    .map((wallet) => ({ wallet, account: chain.accountOf(wallet), times: times.get(wallet) ?? 0 }))
    .filter(({ account }) => !listed.has(account))
    .toSorted((a, b) => b.times - a.times)
  const occasion = {
    ...capacities,
    due: wallets.length,
    listed: wallets.length - open.length,
    room: growing.reduce((sum, { accounts }) => sum + MAX_ADDRESSES - accounts.length, 0),
    times: open.map((one) => one.times),
  }
  const count = worthListing(occasion, await costsOf(chain), terms)
  return open.slice(0, count).map(({ wallet, account }) => ({ wallet, account }))
}
