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

const META_KEY = 'chain.genesis'

const isPublic = (genesisHash: string): boolean => Object.values<string>(GENESIS_HASHES).includes(genesisHash)

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
  await db
    .insertInto('meta')
    .values({ key: META_KEY, value: genesisHash })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute()
  const { value } = await db.selectFrom('meta').select('value').where('key', '=', META_KEY).executeTakeFirstOrThrow()
  if (value !== genesisHash)
    throw new ChainError(
      'wrong-chain',
      `this database paid on the chain with genesis hash ${value}, but the RPC serves ${genesisHash}; ` +
        'use the chain it began with, or a new data folder',
    )
}

/** Undefined on a local chain: no public explorer knows it. */
export function explorerUrl(cluster: Cluster, signature: string): string | undefined {
  if (cluster === 'local') return undefined
  const query = cluster === 'devnet' ? '?cluster=devnet' : ''
  return `https://explorer.solana.com/tx/${signature}${query}`
}
