// The only place that speaks to Solana through @solana/web3.js (pinned to 1.99.0). Everything else sees base58 text,
// bigint base units and ChainError.
import {
  Connection,
  type ConnectionConfig,
  Keypair,
  PublicKey,
  SendTransactionError,
  SolanaJSONRPCError,
  SystemProgram,
  Transaction,
  TransactionInstruction,
} from '@solana/web3.js'
import { encodeBase58 } from './base58.ts'
import { ChainError } from './chain-error.ts'
import type { ChainKey } from './keys.ts'
import type { Funds, Lifetime, PayoutChain, SignatureStatus, SignedPayout } from './payer.ts'
import * as spl from './spl.ts'

/** Longer than any healthy node needs; a payout turn must not hang on a dead one. */
const RPC_TIMEOUT_MS = 10_000
/** As many signatures as getSignatureStatuses takes, and accounts as getMultipleAccounts takes. */
const STATUSES_PER_CALL = 256
const ACCOUNTS_PER_CALL = 100
const CONFIRM_POLL_MS = 200

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
  /** The payout engine's view of this chain, for one token. */
  payer(token: Token): PayoutChain
  /** The chain's own account of a transaction (getTransaction), for showing. */
  transaction(signature: string): Promise<object | undefined>
  /** Local chain only: SOL from the faucet. */
  airdrop(address: string, lamports: number): Promise<string>
  /** Local chain only: makes the mint and its whole first supply, owned by the treasury, in one transaction. */
  createMint(key: ChainKey, decimals: number, supply: bigint): Promise<string>
  /** Local chain only: mints more to the treasury. */
  mintTo(token: Token, units: bigint): Promise<string>
}

export interface SolanaOptions {
  readonly rpcUrl: string
  readonly treasury: ChainKey
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

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const withTimeout =
  (real: typeof fetch): typeof fetch =>
  (input, init) =>
    real(input, { ...init, signal: AbortSignal.timeout(RPC_TIMEOUT_MS) })

/** Turns whatever the library throws into a ChainError. */
async function asked<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    if (error instanceof ChainError) throw error
    const rejected = error instanceof SolanaJSONRPCError || error instanceof SendTransactionError
    const sentence = rejected ? `the RPC refused ${what}` : `no answer from the RPC to ${what}`
    throw new ChainError(rejected ? 'rejected' : 'unreachable', `${sentence}: ${messageOf(error)}`, { cause: error })
  }
}

const associatedAddress = (mint: string, wallet: string): string => {
  const seeds = [wallet, spl.TOKEN_PROGRAM, mint].map((part) => new PublicKey(part).toBytes())
  return PublicKey.findProgramAddressSync(seeds, new PublicKey(spl.ASSOCIATED_TOKEN_PROGRAM))[0].toBase58()
}

const instructionOf = ({ program, accounts, data }: spl.Instruction): TransactionInstruction =>
  new TransactionInstruction({
    programId: new PublicKey(program),
    keys: accounts.map(({ address, signer, writable }) => ({
      pubkey: new PublicKey(address),
      isSigner: signer,
      isWritable: writable,
    })),
    data: Buffer.from(data),
  })

const chunked = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

function sign(
  instructions: readonly TransactionInstruction[],
  signers: readonly Keypair[],
  life: Lifetime,
): SignedPayout {
  const [feePayer] = signers
  if (!feePayer) throw new RangeError('a transaction needs a signer')
  const transaction = new Transaction({ feePayer: feePayer.publicKey, ...life }).add(...instructions)
  transaction.sign(...signers)
  const wire = transaction.serialize()
  if (!transaction.signature) throw new Error('the library signed nothing')
  return { ...life, wire, signature: encodeBase58(transaction.signature) }
}

const send = (connection: Connection, wire: Uint8Array): Promise<string> =>
  asked(
    'sendTransaction',
    connection.sendRawTransaction(wire, { maxRetries: 0, preflightCommitment: 'confirmed', skipPreflight: false }),
  )

async function statuses(connection: Connection, signatures: readonly string[]) {
  const found = new Map<string, SignatureStatus>()
  let slot = Number.POSITIVE_INFINITY
  for (const part of chunked(signatures, STATUSES_PER_CALL)) {
    const call = connection.getSignatureStatuses(part, { searchTransactionHistory: true })
    const { context, value } = await asked('getSignatureStatuses', call)
    slot = Math.min(slot, context.slot)
    part.forEach((signature, index) => {
      const status = value[index]
      if (!status) return
      // Nodes before 1.4 had no confirmationStatus; absent there, confirmations null meant rooted.
      const commitment = status.confirmationStatus ?? (status.confirmations === null ? 'finalized' : 'processed')
      found.set(signature, { commitment, ...(status.err && { error: JSON.stringify(status.err) }) })
    })
  }
  return { slot, found }
}

async function lifetime(connection: Connection): Promise<Lifetime> {
  return asked('getLatestBlockhash', connection.getLatestBlockhash('confirmed'))
}

async function dataOf(connection: Connection, addresses: readonly string[]): Promise<(Buffer | undefined)[]> {
  const parts = chunked(addresses, ACCOUNTS_PER_CALL).map(async (part) => {
    const keys = part.map((address) => new PublicKey(address))
    const accounts = await asked('getMultipleAccounts', connection.getMultipleAccountsInfo(keys, 'confirmed'))
    return accounts.map((account) => (account?.owner.toBase58() === spl.TOKEN_PROGRAM ? account.data : undefined))
  })
  return (await Promise.all(parts)).flat()
}

/** Nothing is asked of the network yet. */
export function createSolana(options: SolanaOptions): Solana {
  const { rpcUrl, sleep } = options
  const treasury = Keypair.fromSecretKey(options.treasury.secretKey)
  const config: ConnectionConfig = {
    commitment: 'confirmed',
    disableRetryOnRateLimit: true,
    fetch: withTimeout(options.fetch ?? fetch) as NonNullable<ConnectionConfig['fetch']>,
  }
  const connection = new Connection(rpcUrl, config)
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
    payer: (token) => createPayer(connection, treasury, token),
    async transaction(signature) {
      const call = connection.getTransaction(signature, { commitment: 'confirmed', maxSupportedTransactionVersion: 0 })
      return (await asked('getTransaction', call)) ?? undefined
    },
    ...createMinter(connection, treasury, sleep),
  }
}

function createPayer(connection: Connection, treasury: Keypair, { mint, decimals }: Token): PayoutChain {
  const owner = treasury.publicKey.toBase58()
  const from = associatedAddress(mint, owner)
  let accountRent: bigint | undefined

  const funds = async (wallets: readonly string[]): Promise<Funds> => {
    accountRent ??= BigInt(
      await asked(
        'getMinimumBalanceForRentExemption',
        connection.getMinimumBalanceForRentExemption(spl.TOKEN_ACCOUNT_BYTES),
      ),
    )
    const distinct = [...new Set(wallets)]
    const [own, ...theirs] = await dataOf(connection, [
      from,
      ...distinct.map((wallet) => associatedAddress(mint, wallet)),
    ])
    const lamports = BigInt(await asked('getBalance', connection.getBalance(treasury.publicKey, 'confirmed')))
    const without = new Set(distinct.filter((_, index) => !theirs[index]))
    return { tokenUnits: (own && spl.amountOf(own)) ?? 0n, lamports, without, accountRent }
  }

  return {
    treasury: owner,
    async finalized() {
      const { absoluteSlot, blockHeight } = await asked('getEpochInfo', connection.getEpochInfo('finalized'))
      // Every node since 1.1 answers it; without it no payout may ever be called expired.
      if (blockHeight === undefined) throw new ChainError('rejected', 'the RPC does not tell the block height')
      return { slot: absoluteSlot, height: blockHeight }
    },
    statuses: (signatures) => statuses(connection, signatures),
    lifetime: () => lifetime(connection),
    sign({ wallet, units, memo }, life) {
      const to = associatedAddress(mint, wallet)
      const instructions = [
        spl.createAssociatedIdempotent({ payer: owner, account: to, owner: wallet, mint }),
        spl.transferChecked({ from, mint, to, authority: owner, units, decimals }),
        spl.memo(memo),
      ]
      return sign(instructions.map(instructionOf), [treasury], life)
    },
    send: async (wire) => {
      await send(connection, wire)
    },
    funds,
  }
}

function createMinter(connection: Connection, treasury: Keypair, sleep: SolanaOptions['sleep']) {
  const owner = treasury.publicKey.toBase58()

  /** Waits for `confirmed`; for set-up on the local chain only, where nothing forks. */
  const confirmed = async (signature: string, lastValidBlockHeight: number): Promise<string> => {
    for (;;) {
      const height = await asked('getBlockHeight', connection.getBlockHeight('confirmed'))
      const status = (await statuses(connection, [signature])).found.get(signature)
      if (status?.error) throw new ChainError('rejected', `transaction ${signature} failed: ${status.error}`)
      if (status && status.commitment !== 'processed') return signature
      if (height > lastValidBlockHeight) throw new ChainError('unreachable', `transaction ${signature} never landed`)
      await sleep(CONFIRM_POLL_MS)
    }
  }

  const run = async (instructions: readonly TransactionInstruction[], signers: readonly Keypair[]): Promise<string> => {
    const signed = sign(instructions, signers, await lifetime(connection))
    await send(connection, signed.wire)
    return confirmed(signed.signature, signed.lastValidBlockHeight)
  }

  const supplyTo = (mint: string, decimals: number, units: bigint): TransactionInstruction[] => {
    const account = associatedAddress(mint, owner)
    return [
      spl.createAssociatedIdempotent({ payer: owner, account, owner, mint }),
      spl.mintToChecked({ mint, to: account, authority: owner, units, decimals }),
    ].map(instructionOf)
  }

  return {
    async airdrop(address: string, lamports: number) {
      const { lastValidBlockHeight } = await lifetime(connection)
      const signature = await asked('requestAirdrop', connection.requestAirdrop(new PublicKey(address), lamports))
      return confirmed(signature, lastValidBlockHeight)
    },
    async createMint(key: ChainKey, decimals: number, supply: bigint) {
      const mint = Keypair.fromSecretKey(key.secretKey)
      const rent = connection.getMinimumBalanceForRentExemption(spl.MINT_BYTES)
      const create = SystemProgram.createAccount({
        fromPubkey: treasury.publicKey,
        newAccountPubkey: mint.publicKey,
        lamports: await asked('getMinimumBalanceForRentExemption', rent),
        space: spl.MINT_BYTES,
        programId: new PublicKey(spl.TOKEN_PROGRAM),
      })
      const initialize = instructionOf(spl.initializeMint2(key.address, decimals, treasury.publicKey.toBytes()))
      return run([create, initialize, ...supplyTo(key.address, decimals, supply)], [treasury, mint])
    },
    mintTo: (token: Token, units: bigint) => run(supplyTo(token.mint, token.decimals, units), [treasury]),
  }
}
