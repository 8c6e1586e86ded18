// Brings the treasury to where payouts can begin: right chain, a mint that fits, and on a local chain SOL and tokens.
import { join } from 'node:path'
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import { ChainError } from './chain-error.ts'
import { assertChain, assertMint, type Cluster } from './cluster.ts'
import { readOrCreateKeyFile } from './keys.ts'
import type { Solana, Token } from './solana.ts'

export interface TreasuryOptions {
  readonly db: Kysely<Database>
  readonly solana: Solana
  readonly cluster: Cluster
  /** Where a local chain's mint key is kept. */
  readonly keysFolder: string
  /** The mint of a public cluster; a local chain makes its own. */
  readonly mint?: string
  readonly decimals?: number
  /** Base units minted when a local chain begins. */
  readonly supply?: bigint
}

const LOCAL_DECIMALS = 6
/** One million tokens. */
const LOCAL_SUPPLY = 1_000_000n * 10n ** BigInt(LOCAL_DECIMALS)
/** 100 SOL pay for 49,000 new token accounts; topped up at half. */
const LOCAL_LAMPORTS = 100_000_000_000

/** Rejects with ChainError `wrong-chain`, `bad-mint`, `bad-key-file` or `unreachable`. Safe to run at every start. */
export async function openTreasury(options: TreasuryOptions): Promise<Token> {
  const { db, solana, cluster } = options
  await assertChain(db, cluster, await solana.genesisHash())
  return cluster === 'local' ? openLocal(options) : openPublic(options)
}

async function openPublic({ db, solana, mint, cluster, decimals }: TreasuryOptions): Promise<Token> {
  if (mint === undefined) throw new ChainError('bad-mint', `name the token to pay in on ${cluster}: its mint address`)
  const facts = await solana.mint(mint)
  if (!facts)
    throw new ChainError(
      'bad-mint',
      `${mint} is not a mint of the SPL Token program on ${cluster}; correct the address`,
    )
  if (decimals !== undefined && facts.decimals !== decimals)
    throw new ChainError('bad-mint', `the mint ${mint} has ${facts.decimals} decimals, configured are ${decimals}`)
  await assertMint(db, mint)
  return { mint, decimals: facts.decimals }
}

async function openLocal(options: TreasuryOptions): Promise<Token> {
  const { db, solana, keysFolder, decimals = LOCAL_DECIMALS, supply = LOCAL_SUPPLY } = options
  // The mint's key is made before the mint: after a crash between the two the same mint is made, not a second one.
  const key = await readOrCreateKeyFile(join(keysFolder, 'mint.json'))
  await assertMint(db, key.address)
  if ((await solana.lamports(solana.treasury)) < BigInt(LOCAL_LAMPORTS / 2))
    await solana.airdrop(solana.treasury, LOCAL_LAMPORTS)
  const facts = await solana.mint(key.address)
  if (!facts) await solana.createMint(key, decimals, supply)
  return { mint: key.address, decimals: facts?.decimals ?? decimals }
}
