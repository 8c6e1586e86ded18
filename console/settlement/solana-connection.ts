// The connection to a Solana RPC, and what every use of it shares: calls that end in ChainError, accounts and statuses asked
// for in portions, transactions signed and sent once. @solana/web3.js is named in solana*.ts alone.
import {
  type AccountInfo,
  Connection,
  type ConnectionConfig,
  type Keypair,
  PublicKey,
  SendTransactionError,
  SolanaJSONRPCError,
  Transaction,
  TransactionInstruction,
} from '@solana/web3.js'
import { encodeBase58 } from './base58.ts'
import { ChainError } from './chain-error.ts'
import type { Lifetime, SignatureStatus, SignedPayout } from './payer.ts'
import * as spl from './spl.ts'

/** Longer than any healthy node needs; a payout turn must not hang on a dead one. */
const RPC_TIMEOUT_MS = 10_000
/** As many signatures as getSignatureStatuses takes, and accounts as getMultipleAccounts takes. */
const STATUSES_PER_CALL = 256
const ACCOUNTS_PER_CALL = 100

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const withTimeout =
  (real: typeof fetch): typeof fetch =>
  (input, init) =>
    real(input, { ...init, signal: AbortSignal.timeout(RPC_TIMEOUT_MS) })

/** Turns whatever the library throws into a ChainError. */
export async function asked<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    if (error instanceof ChainError) throw error
    const rejected = error instanceof SolanaJSONRPCError || error instanceof SendTransactionError
    const sentence = rejected ? `the RPC refused ${what}` : `no answer from the RPC to ${what}`
    throw new ChainError(rejected ? 'rejected' : 'unreachable', `${sentence}: ${messageOf(error)}`, { cause: error })
  }
}

export const associatedAddress = (mint: string, wallet: string): string => {
  const seeds = [wallet, spl.TOKEN_PROGRAM, mint].map((part) => new PublicKey(part).toBytes())
  return PublicKey.findProgramAddressSync(seeds, new PublicKey(spl.ASSOCIATED_TOKEN_PROGRAM))[0].toBase58()
}

export const instructionOf = ({ program, accounts, data }: spl.Instruction): TransactionInstruction =>
  new TransactionInstruction({
    programId: new PublicKey(program),
    keys: accounts.map(({ address, signer, writable }) => ({
      pubkey: new PublicKey(address),
      isSigner: signer,
      isWritable: writable,
    })),
    data: Buffer.from(data),
  })

export const chunked = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

export function sign(
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

export const send = (connection: Connection, wire: Uint8Array): Promise<string> =>
  asked(
    'sendTransaction',
    connection.sendRawTransaction(wire, { maxRetries: 0, preflightCommitment: 'confirmed', skipPreflight: false }),
  )

const failureOf = (error: string) => ({ error, ...(spl.isMarkerError(error) && { markerExists: true as const }) })

export async function statuses(connection: Connection, signatures: readonly string[]) {
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
      found.set(signature, { commitment, ...(status.err && failureOf(JSON.stringify(status.err))) })
    })
  }
  return { slot, found }
}

export async function lifetime(connection: Connection): Promise<Lifetime> {
  return asked('getLatestBlockhash', connection.getLatestBlockhash('confirmed'))
}

/** Of one portion of 100 all are as they were at one moment. */
export async function accountsAt(connection: Connection, addresses: readonly string[]) {
  const parts = chunked(addresses, ACCOUNTS_PER_CALL).map((part) => {
    const keys = part.map((address) => new PublicKey(address))
    return asked('getMultipleAccounts', connection.getMultipleAccountsInfo(keys, 'confirmed'))
  })
  return (await Promise.all(parts)).flat()
}

export const tokenData = (account: AccountInfo<Buffer> | null | undefined): Buffer | undefined =>
  account?.owner.toBase58() === spl.TOKEN_PROGRAM ? account.data : undefined

export const dataOf = async (connection: Connection, addresses: readonly string[]): Promise<(Buffer | undefined)[]> =>
  (await accountsAt(connection, addresses)).map(tokenData)

/** Which of the accounts are there at finalized, and how far the node that knew least had seen. */
export async function existing(connection: Connection, addresses: readonly string[]) {
  const found = new Set<string>()
  let slot = Number.POSITIVE_INFINITY
  for (const part of chunked(addresses, ACCOUNTS_PER_CALL)) {
    const keys = part.map((address) => new PublicKey(address))
    const call = connection.getMultipleAccountsInfoAndContext(keys, 'finalized')
    const { context, value } = await asked('getMultipleAccounts', call)
    slot = Math.min(slot, context.slot)
    for (const [index, account] of value.entries()) if (account) found.add(part[index] ?? '')
  }
  return { slot, found }
}

/** Nothing is asked of the network yet. `realFetch` is for tests: a chain without a network. */
export function connect(rpcUrl: string, realFetch: typeof fetch = fetch): Connection {
  const config: ConnectionConfig = {
    commitment: 'confirmed',
    disableRetryOnRateLimit: true,
    fetch: withTimeout(realFetch) as NonNullable<ConnectionConfig['fetch']>,
  }
  return new Connection(rpcUrl, config)
}
