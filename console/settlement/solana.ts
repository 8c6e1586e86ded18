// Solana as the rest of Bramble sees it: base58 text, bigint base units and ChainError. The library behind it
// (@solana/web3.js, pinned to 1.99.0) is named in this file and the solana-*.ts beside it, nowhere else.
import { Keypair, PublicKey } from '@solana/web3.js'
import type { Holdings } from '../rewards/liabilities.ts'
import type { DepositChain } from './deposits/deposit-chain.ts'
import type { ChainKey } from './keys.ts'
import type { PayoutChain } from './payer.ts'
import { accountsAt, asked, associatedAddress, connect, dataOf, tokenData } from './solana-connection.ts'
import { createDepositChain } from './solana-deposits.ts'
import { createMinter } from './solana-minter.ts'
import { createPayer } from './solana-payer.ts'
import { type ReadTransaction, readTransaction } from './solana-viewer.ts'
import * as spl from './spl.ts'

export interface Token {
  readonly mint: string
  readonly decimals: number
}

export interface Solana {
  readonly treasury: string
  genesisHash(): Promise<string>
  /** Undefined when there is no such mint of the SPL Token program. */
  mint(address: string): Promise<{ decimals: number; supply: bigint } | undefined>
  lamports(address: string): Promise<bigint>
  /** Base units in the associated token account of a wallet; 0 when it has none. */
  tokenBalance(mint: string, wallet: string): Promise<bigint>
  /** Read together: base units of the treasury and of these token accounts, and which of these markers exist. */
  holdings(mint: string, accounts: readonly string[], markers: readonly string[]): Promise<Holdings>
  /** The payout engine's view of this chain, for one token. */
  payer(token: Token): PayoutChain
  /** Deposits of requesters on this chain, for one token. */
  deposits(token: Token): DepositChain
  /** A transaction in words; undefined while the chain does not know it. */
  transaction(signature: string): Promise<ReadTransaction | undefined>
  /** Local chain only: SOL from the faucet. */
  airdrop(address: string, lamports: number): Promise<string>
  /** Local chain only: makes the mint and its whole first supply, owned by the treasury, in one transaction. */
  createMint(key: ChainKey, decimals: number, supply: bigint): Promise<string>
  /** Local chain only: mints more, to the treasury where no wallet is named. */
  mintTo(token: Token, units: bigint, wallet?: string): Promise<string>
}

export interface SolanaOptions {
  readonly rpcUrl: string
  readonly treasury: ChainKey
  /** Pays fees and rents; the treasury when absent. */
  readonly feePayer?: ChainKey
  /** Waits between polls while a set-up transaction confirms. */
  readonly sleep: (ms: number) => Promise<unknown>
  /** For tests: a chain without a network. */
  readonly fetch?: typeof fetch
}

/** One sentence saying why nobody may be paid at this address; undefined for a good wallet. */
export function walletFault(address: string): string | undefined {
  try {
    const key = new PublicKey(address)
    if (key.toBase58() !== address) return 'the address is not in its usual form'
    // Off the curve no key can sign: a program's or token account's address, tokens sent there may be lost for good.
    return PublicKey.isOnCurve(key.toBytes()) ? undefined : 'the address is not a wallet (no key can sign for it)'
  } catch {
    return 'the address is not a Solana address (32 bytes in base58)'
  }
}

/** Nothing is asked of the network yet. */
export function createSolana(options: SolanaOptions): Solana {
  const { rpcUrl, sleep } = options
  const treasury = Keypair.fromSecretKey(options.treasury.secretKey)
  const feePayer = options.feePayer === undefined ? treasury : Keypair.fromSecretKey(options.feePayer.secretKey)
  const connection = connect(rpcUrl, options.fetch)
  const owner = treasury.publicKey.toBase58()
  return {
    treasury: owner,
    genesisHash: () => asked('getGenesisHash', connection.getGenesisHash()),
    async mint(address) {
      const [data] = await dataOf(connection, [address])
      return data && spl.mintFacts(data)
    },
    lamports: async (address) => BigInt(await asked('getBalance', connection.getBalance(new PublicKey(address)))),
    async tokenBalance(mint, wallet) {
      const [data] = await dataOf(connection, [associatedAddress(mint, wallet)])
      return (data && spl.amountOf(data)) ?? 0n
    },
    async holdings(mint, accounts, markers) {
      const own = [associatedAddress(mint, owner), ...accounts]
      const found = await accountsAt(connection, [...own, ...markers])
      const amounts = found.slice(0, own.length).map((account) => spl.amountOf(tokenData(account) ?? Buffer.of()) ?? 0n)
      const landed = markers.filter((_, index) => found[own.length + index])
      return { units: amounts.reduce((sum, units) => sum + units, 0n), landed }
    },
    payer: (token) => createPayer(connection, { treasury, feePayer }, token),
    deposits: (token) => createDepositChain(connection, { treasury: options.treasury, feePayer }, token),
    transaction: (signature) => readTransaction(connection, signature),
    ...createMinter(connection, treasury, sleep),
  }
}
