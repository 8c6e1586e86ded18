// What the payout engine asks of a chain about address lookup tables: accounts on the chain that list other accounts, so that a
// transaction names each of these by one byte instead of 32.
import type { Lifetime, SignedPayout } from '../payer.ts'

/** As many accounts as a table can list. */
export const MAX_ADDRESSES = 256

export interface LookupTable {
  readonly address: string
  /** By index, as the chain lists them; those alone that a transaction can name now. */
  readonly addresses: readonly string[]
}

/** A table as the chain has it, finalized. What is listed at an index never changes: a table only grows, and goes as a whole. */
export interface TableSight {
  /** It belongs to the lookup table program, and the treasury alone may change it. */
  readonly isOurs: boolean
  /** The slot in which it was deactivated; undefined while it was not. */
  readonly deactivatedAt: number | undefined
  readonly addresses: readonly string[]
  /** The first so many can be named; the others were added too short a while ago. */
  readonly usable: number
}

export type TableOrder =
  /** Made and filled with its first accounts by one transaction. `slot`: a finalized one, its address follows from it. */
  | { readonly do: 'make'; readonly slot: number; readonly address: string; readonly accounts: readonly string[] }
  | { readonly do: 'extend'; readonly address: string; readonly accounts: readonly string[] }
  | { readonly do: 'deactivate'; readonly address: string }
  | { readonly do: 'close'; readonly address: string }

export interface TableChain {
  /** The token account of a wallet. */
  accountOf(wallet: string): string
  /** Where a table lies that is made with this slot. */
  tableAt(slot: number): string
  /** At finalized; `slot` is how far the answering node had seen. What is there and is no lookup table is not ours. */
  tables(addresses: readonly string[]): Promise<{
    readonly slot: number
    readonly found: ReadonlyMap<string, TableSight>
  }>
  /** Lamports that an empty table locks, and each account listed in it. */
  tableRents(): Promise<{ readonly table: bigint; readonly address: bigint }>
  /** Reaches for no network. */
  signTable(order: TableOrder, lifetime: Lifetime): SignedPayout
}

/** Of many tables those that list an account of these wallets: a transaction that names the others would be larger for nothing. */
export function createSelection(tables: readonly LookupTable[], accountOf: TableChain['accountOf']) {
  const places = new Map(tables.flatMap(({ addresses }, place) => addresses.map((address) => [address, place])))
  /** Undefined for a wallet in none. */
  const placeOf = (wallet: string): number | undefined =>
    places.size === 0 ? undefined : places.get(accountOf(wallet))
  return {
    placeOf,
    of(lines: readonly { readonly wallet: string }[]): readonly LookupTable[] {
      if (places.size === 0) return []
      const used = new Set(lines.map(({ wallet }) => placeOf(wallet)))
      return tables.filter((_, place) => used.has(place))
    },
  }
}
