// The payout engine's view of a Solana chain, for one token: batches built, tried out, signed and sent, and what became of them.
import {
  type Connection,
  type Keypair,
  type Message,
  PublicKey,
  SystemProgram,
  Transaction,
  type TransactionInstruction,
  VersionedTransaction,
} from '@solana/web3.js'
import { ChainError } from './chain-error.ts'
import { markerAddress, markerSeed } from './marker.ts'
import type { Funds, Lifetime, Payment, PayoutChain, Rehearsal, Through } from './payer.ts'
import { transactionBytes } from './size.ts'
import type { Token } from './solana.ts'
import {
  asked,
  associatedAddress,
  dataOf,
  existing,
  instructionOf,
  lifetime,
  send,
  sign,
  statuses,
} from './solana-connection.ts'
import { history, transfer } from './solana-history.ts'
import { compiledV0, createTables, signV0 } from './solana-tables.ts'
import * as spl from './spl.ts'

const LAMPORTS_PER_SIGNATURE = 5_000n
/** Any 32 bytes: what a transaction says does not change its size. */
const SOME_LIFETIME: Lifetime = { blockhash: spl.SYSTEM_PROGRAM, lastValidBlockHeight: 0 }

export interface PayerKeys {
  readonly treasury: Keypair
  readonly feePayer: Keypair
}

/** Enough for the wallets of a settlement; then it begins anew. */
const MAX_KNOWN_ACCOUNTS = 10_000

/** Token accounts by wallet. Finding one takes a millisecond, and filling batches asks for the same ones again and again. */
function createAccounts(mint: string): (wallet: string) => string {
  const known = new Map<string, string>()
  return (wallet) => {
    const found = known.get(wallet) ?? associatedAddress(mint, wallet)
    if (known.size >= MAX_KNOWN_ACCOUNTS) known.clear()
    known.set(wallet, found)
    return found
  }
}

/** The transactions of the payout room, unsigned. */
function createBuilder({ treasury, feePayer }: PayerKeys, { mint, decimals }: Token) {
  const authority = treasury.publicKey.toBase58()
  const payer = feePayer.publicKey.toBase58()
  const accountOf = createAccounts(mint)
  const from = accountOf(authority)
  const seedOf = (batch: string): string => markerSeed(treasury.secretKey.subarray(0, 32), batch)
  const markerOf = (batch: string): string => markerAddress(authority, seedOf(batch))

  const makeMarker = (batch: string, rent: bigint): spl.Instruction =>
    plainOf(
      SystemProgram.createAccountWithSeed({
        fromPubkey: feePayer.publicKey,
        newAccountPubkey: new PublicKey(markerOf(batch)),
        basePubkey: treasury.publicKey,
        seed: seedOf(batch),
        lamports: Number(rent),
        space: 0,
        programId: SystemProgram.programId,
      }),
    )
  const emptyMarker = (batch: string, lamports: bigint): TransactionInstruction =>
    SystemProgram.transfer({
      fromPubkey: new PublicKey(markerOf(batch)),
      basePubkey: treasury.publicKey,
      seed: seedOf(batch),
      programId: SystemProgram.programId,
      toPubkey: feePayer.publicKey,
      lamports,
    })

  /** The marker first: where it is there already, nothing after it happens. */
  const pay = (payment: Payment, without: ReadonlySet<string>, markerRent: bigint): spl.Instruction[] => {
    if (payment.marker !== null && payment.marker !== markerOf(payment.id))
      throw new ChainError('bad-key-file', `batch ${payment.id} was begun with another treasury key than ${authority}`)
    const made = new Set<string>()
    const lines = payment.lines.flatMap(({ wallet, units }) => {
      const to = accountOf(wallet)
      const paid = spl.transferChecked({ from, mint, to, authority, units, decimals })
      if (!without.has(wallet) || made.has(wallet)) return [paid]
      made.add(wallet)
      return [spl.createAssociatedIdempotent({ payer, account: to, owner: wallet, mint }), paid]
    })
    return [...(payment.marker === null ? [] : [makeMarker(payment.id, markerRent)]), ...lines, spl.memo(payment.memo)]
  }
  return { authority, payer, from, accountOf, markerOf, pay, emptyMarker }
}

const compiled = (instructions: readonly spl.Instruction[], feePayer: PublicKey, life: Lifetime): Message =>
  new Transaction({ feePayer, ...life }).add(...instructions.map(instructionOf)).compileMessage()

/** Not signed: for a try-out. */
const unsigned = (
  instructions: readonly spl.Instruction[],
  feePayer: PublicKey,
  through: Through,
): VersionedTransaction =>
  through.length > 0
    ? compiledV0(instructions, feePayer, through, SOME_LIFETIME)
    : new VersionedTransaction(compiled(instructions, feePayer, SOME_LIFETIME))

const plainOf = ({ programId, keys, data }: TransactionInstruction): spl.Instruction => ({
  program: programId.toBase58(),
  accounts: keys.map(({ pubkey, isSigner: signer, isWritable: writable }) => {
    return { address: pubkey.toBase58(), signer, writable }
  }),
  data,
})

/** Distinct signatures: one where the treasury pays its own fees. */
const signersOf = ({ treasury, feePayer }: PayerKeys): Keypair[] =>
  treasury.publicKey.equals(feePayer.publicKey) ? [treasury] : [feePayer, treasury]

/** How an error of a try-out is to be read; the error as the RPC gives it. */
function rehearsalOf(err: unknown, hasMarker: boolean): Rehearsal {
  if (err === null || err === undefined) return { outcome: 'good' }
  const reason = JSON.stringify(err)
  // As agave's TransactionError names them: nothing was executed.
  if (/^"(AddressLookupTableNotFound|InvalidAddressLookupTable\w+)"$/.test(reason))
    return { outcome: 'no-table', reason }
  const index = Number(/^\{"InstructionError":\[(\d+),/.exec(reason)?.[1] ?? Number.NaN)
  if (spl.isMarkerError(reason)) return { outcome: 'taken' }
  return index >= (hasMarker ? 1 : 0) ? { outcome: 'fault', reason } : { outcome: 'refused', reason }
}

export function createPayer(connection: Connection, keys: PayerKeys, token: Token): PayoutChain {
  const { feePayer } = keys
  const builder = createBuilder(keys, token)
  const { authority, payer, from, markerOf } = builder
  const signers = signersOf(keys)
  const rents = createRents(connection)
  // Known before the first signature: funds() is asked before.
  let markerRent = 0n

  const funds = async (wallets: readonly string[]): Promise<Funds> => {
    const rent = await rents()
    markerRent = rent.marker
    const distinct = [...new Set(wallets)]
    const accounts = distinct.map(builder.accountOf)
    const [own, ...theirs] = await dataOf(connection, [from, ...accounts])
    const lamports = BigInt(await asked('getBalance', connection.getBalance(feePayer.publicKey, 'confirmed')))
    const without = new Set(distinct.filter((_, index) => !theirs[index]))
    const tokenUnits = (own && spl.amountOf(own)) ?? 0n
    return { tokenUnits, lamports, without, accountRent: rent.account, markerRent }
  }

  return {
    treasury: authority,
    feePayer: payer,
    feeLamports: LAMPORTS_PER_SIGNATURE * BigInt(signers.length),
    markerOf,
    accountOf: builder.accountOf,
    ...createTables(connection, signers, keys.treasury),
    sizeOf: (payment, without, through = []) => transactionBytes(builder.pay(payment, without, 0n), payer, through),
    async finalized() {
      const { absoluteSlot, blockHeight } = await asked('getEpochInfo', connection.getEpochInfo('finalized'))
      // Every node since 1.1 answers it; without it no payout may ever be called expired.
      if (blockHeight === undefined) throw new ChainError('rejected', 'the RPC does not tell the block height')
      return { slot: absoluteSlot, height: blockHeight }
    },
    statuses: (signatures) => statuses(connection, signatures),
    existing: (addresses) => existing(connection, addresses),
    history: (address, options) => history(connection, address, options),
    transfer: (signature) => transfer(connection, signature, { authority, from, mint: token.mint }),
    lifetime: () => lifetime(connection),
    async rehearse(payment, without, minContextSlot, through = []) {
      markerRent ||= (await rents()).marker
      const instructions = builder.pay(payment, without, markerRent)
      const config = {
        sigVerify: false,
        replaceRecentBlockhash: true,
        commitment: 'confirmed',
        minContextSlot,
      } as const
      const call = connection.simulateTransaction(unsigned(instructions, feePayer.publicKey, through), config)
      return rehearsalOf((await asked('simulateTransaction', call)).value.err, payment.marker !== null)
    },
    sign(payment, without, life, through = []) {
      const instructions = builder.pay(payment, without, markerRent)
      if (through.length === 0) return sign(instructions.map(instructionOf), signers, life)
      return signV0(compiledV0(instructions, feePayer.publicKey, through, life), signers, life)
    },
    send: async (wire) => {
      await send(connection, wire)
    },
    funds,
    async reclaim(batches) {
      const accounts = batches.map((batch) => new PublicKey(markerOf(batch)))
      const found = await asked('getMultipleAccounts', connection.getMultipleAccountsInfo(accounts, 'confirmed'))
      const instructions = batches.flatMap((batch, index) => {
        const held = found[index]?.lamports ?? 0
        return held > 0 ? [builder.emptyMarker(batch, BigInt(held))] : []
      })
      if (instructions.length === 0) return
      const signed = sign(instructions, signers, await lifetime(connection))
      await send(connection, signed.wire)
    },
  }
}

/** Rents do not change while a console runs; asked once. */
function createRents(connection: Connection) {
  const rentOf = async (bytes: number): Promise<bigint> =>
    BigInt(await asked('getMinimumBalanceForRentExemption', connection.getMinimumBalanceForRentExemption(bytes)))
  let known: { readonly account: bigint; readonly marker: bigint } | undefined
  return async () => {
    known ??= { account: await rentOf(spl.TOKEN_ACCOUNT_BYTES), marker: await rentOf(0) }
    return known
  }
}
