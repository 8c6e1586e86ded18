// Which Solana this is: the three clusters, their genesis hashes, and links to the public explorer.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import { ChainError } from './chain-error.ts'

export const CLUSTERS = ['local', 'devnet', 'mainnet-beta'] as const
export type Cluster = (typeof CLUSTERS)[number]

/** A local chain makes its own at birth. */
const GENESIS_HASHES = {
  devnet: 'EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG',
  'mainnet-beta': '5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d',
} as const satisfies Record<Exclude<Cluster, 'local'>, string>

const GENESIS_KEY = 'chain.genesis'
const MINT_KEY = 'chain.mint'

const isPublic = (genesisHash: string): boolean => Object.values<string>(GENESIS_HASHES).includes(genesisHash)

/** Remembers the first value there ever was; answers that one. */
async function firstOf(db: Kysely<Database>, key: string, value: string): Promise<string> {
  await db
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute()
  return (await db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirstOrThrow()).value
}

/**
 * Refuses (ChainError `wrong-chain`) an RPC of another cluster than the configured one, and another chain than the one
 * this database's payouts were made on: its signatures would never be found, and everything would be paid again.
 * The first chain a database meets is remembered.
 */
export async function assertChain(db: Kysely<Database>, cluster: Cluster, genesisHash: string): Promise<void> {
  const expected = cluster === 'local' ? undefined : GENESIS_HASHES[cluster]
  if (expected ? genesisHash !== expected : isPublic(genesisHash))
    throw new ChainError(
      'wrong-chain',
      `the RPC serves the chain with genesis hash ${genesisHash}, which is not ${cluster}; correct the RPC URL or the cluster`,
    )
  const value = await firstOf(db, GENESIS_KEY, genesisHash)
  if (value !== genesisHash)
    throw new ChainError(
      'wrong-chain',
      `this database paid on the chain with genesis hash ${value}, but the RPC serves ${genesisHash}; ` +
        'use the chain it began with, or a new data folder',
    )
}

/**
 * Refuses (ChainError `bad-mint`) another token than the one this database began with: its amounts are base units of that one,
 * and what is owed in one token would be paid in another.
 */
export async function assertMint(db: Kysely<Database>, mint: string): Promise<void> {
  const value = await firstOf(db, MINT_KEY, mint)
  if (value !== mint)
    throw new ChainError(
      'bad-mint',
      `this database owes and pays tokens of the mint ${value}, but the mint of this start is ${mint}; ` +
        'use the mint it began with, or a new data folder',
    )
}

/** Undefined on a local chain: no public explorer knows it. */
export function explorerUrl(cluster: Cluster, signature: string): string | undefined {
  if (cluster === 'local') return undefined
  const query = cluster === 'devnet' ? '?cluster=devnet' : ''
  return `https://explorer.solana.com/tx/${signature}${query}`
}
