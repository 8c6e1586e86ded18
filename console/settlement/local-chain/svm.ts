// One LiteSVM instance, driven by bytes: executes and simulates wire transactions at a given slot, reads accounts.
// The native class is used directly: the package's own wrapper pulls in all of @solana/kit (70 ms, 50 MB) to re-encode.
import { createRequire } from 'node:module'
import type { Account, FailedTransactionMetadata, LiteSvm, TransactionMetadata } from 'litesvm/dist/internal.js'
import { decodeBase58, encodeBase58 } from '../base58.ts'
import { ChainError } from '../chain-error.ts'
import { LOOKUP_TABLE_PROGRAM } from './lookup-tables.ts'
import { type TransactionError, transactionError } from './svm-errors.ts'

type Native = typeof import('litesvm/dist/internal.js')

export interface AccountState {
  readonly lamports: bigint
  readonly data: Uint8Array
  readonly owner: string
  readonly executable: boolean
  readonly rentEpoch: bigint
}
export interface InnerInstructions {
  readonly index: number
  readonly instructions: readonly { programIdIndex: number; accounts: number[]; data: string; stackHeight: number }[]
}
export interface Execution {
  readonly err: TransactionError | null
  readonly logs: readonly string[]
  readonly units: number
  readonly inner: readonly InnerInstructions[]
  readonly returnData: { readonly programId: string; readonly data: readonly [string, 'base64'] } | null
}
export interface Moment {
  readonly slot: number
  readonly unixTime: number
}

export interface SvmOptions {
  /** From an earlier instance; a new one otherwise. */
  readonly snapshot?: Uint8Array
  readonly hashOf: (slot: number) => string
}
export interface Svm {
  execute(wire: Uint8Array, at: Moment): Execution
  /** Changes nothing. `accounts` are the states that would follow. */
  simulate(wire: Uint8Array, at: Moment, verify: boolean): Execution & { accounts: ReadonlyMap<string, AccountState> }
  account(address: string): AccountState | undefined
  programAccounts(program: string): ReadonlyMap<string, AccountState>
  /** Only for the accounts a chain is born with. */
  fund(address: string, lamports: bigint): void
  rentExempt(bytes: number): bigint
  snapshot(): Uint8Array
}

/** Mainnet's; the Clock sysvar carries the epoch. */
export const SLOTS_PER_EPOCH = 432_000
const SYSTEM_PROGRAM = new Uint8Array(32)
const TABLE_PROGRAM = Buffer.from(decodeBase58(LOOKUP_TABLE_PROGRAM) ?? [])
/** As many slots as the sysvar SlotHashes remembers. */
const SLOT_HASHES = 512

/** ChainError `no-local-chain` where LiteSVM has no native part for the platform. */
export function loadLiteSvm(): Native {
  try {
    return createRequire(import.meta.url)('litesvm/dist/internal.js') as Native
  } catch (cause) {
    const platform = `${process.platform}-${process.arch}`
    throw new ChainError(
      'no-local-chain',
      `the embedded chain has no native part for ${platform}; use an RPC URL of devnet, or of a local chain elsewhere`,
      { cause },
    )
  }
}

/** The native part aborts the process on a key of another length. */
const keyBytes = (address: string): Uint8Array | undefined => {
  const bytes = decodeBase58(address)
  return bytes?.length === 32 ? bytes : undefined
}

const stateOf = (account: Account): AccountState => ({
  lamports: account.lamports(),
  data: account.data(),
  owner: encodeBase58(account.owner()),
  executable: account.executable(),
  rentEpoch: account.rentEpoch(),
})

const executionOf = (err: TransactionError | null, meta: TransactionMetadata): Execution => {
  const returned = meta.returnData()
  const data = Buffer.from(returned.data())
  return {
    err,
    logs: meta.logs(),
    units: Number(meta.computeUnitsConsumed()),
    inner: innerOf(meta),
    returnData:
      data.length > 0
        ? { programId: encodeBase58(returned.programId()), data: [data.toString('base64'), 'base64'] }
        : null,
  }
}

const innerOf = (meta: TransactionMetadata): InnerInstructions[] =>
  meta
    .innerInstructions()
    .map((list, index) => ({
      index,
      instructions: list.map((inner) => ({
        programIdIndex: inner.instruction().programIdIndex(),
        accounts: [...inner.instruction().accounts()],
        data: encodeBase58(inner.instruction().data()),
        stackHeight: inner.stackHeight(),
      })),
    }))
    .filter(({ instructions }) => instructions.length > 0)

const isFailure = (native: Native, result: object): result is FailedTransactionMetadata =>
  result instanceof native.FailedTransactionMetadata

export function createSvm(native: Native, { snapshot, hashOf }: SvmOptions): Svm {
  const svm = snapshot ? native.LiteSvm.fromBytes(snapshot) : new native.LiteSvm()
  // Signatures and the blockhash window are looked after by the chain: LiteSVM forgets on restart and takes only one hash.
  svm.setTransactionHistory(0n)
  svm.setBlockhashCheck(false)
  const remember = createSlotHashes(svm, hashOf)
  const moveTo = (at: Moment, wire: Uint8Array): void => {
    setClock(svm, at)
    if (usesTables(wire)) remember(at.slot)
  }
  return {
    execute(wire, at) {
      moveTo(at, wire)
      const result = svm.sendVersionedTransaction(wire)
      return isFailure(native, result)
        ? executionOf(transactionError(result.err()), result.meta())
        : executionOf(null, result)
    },
    simulate(wire, at, verify) {
      moveTo(at, wire)
      svm.setSigverify(verify)
      const result = svm.simulateVersionedTransaction(wire)
      svm.setSigverify(true)
      if (isFailure(native, result))
        return { ...executionOf(transactionError(result.err()), result.meta()), accounts: new Map() }
      const accounts = result.postAccounts().map((a) => [encodeBase58(a.address), stateOf(a.account())] as const)
      return { ...executionOf(null, result.meta()), accounts: new Map(accounts) }
    },
    account(address) {
      const key = keyBytes(address)
      const account = key && svm.getAccount(key)
      return account && account.lamports() > 0n ? stateOf(account) : undefined
    },
    programAccounts(program) {
      const key = keyBytes(program)
      const found = key ? svm.getProgramAccounts(key) : []
      return new Map(found.map((a) => [encodeBase58(a.address), stateOf(a.account())] as const))
    },
    fund(address, lamports) {
      const key = keyBytes(address)
      if (key) svm.setAccount(key, new native.Account(lamports, new Uint8Array(), SYSTEM_PROGRAM, false, 0n))
    },
    rentExempt: (bytes) => svm.minimumBalanceForRentExemption(BigInt(bytes)),
    snapshot: () => svm.toBytes(),
  }
}

const setClock = (svm: LiteSvm, { slot, unixTime }: Moment): void => {
  const clock = svm.getClock()
  clock.slot = BigInt(slot)
  clock.epoch = BigInt(Math.floor(slot / SLOTS_PER_EPOCH))
  clock.leaderScheduleEpoch = clock.epoch + 1n
  clock.unixTimestamp = BigInt(unixTime)
  svm.setClock(clock)
}

/** Makes, changes or may read an address lookup table: those alone look at past slots, and remembering them is dear. */
const usesTables = (wire: Uint8Array): boolean => {
  const signatures = wire[0] ?? 0
  const isVersioned = ((wire[1 + signatures * 64] ?? 0) & 0x80) !== 0
  return isVersioned || Buffer.from(wire.buffer, wire.byteOffset, wire.byteLength).includes(TABLE_PROGRAM)
}

/** Keeps the sysvar SlotHashes: the slots before the present one, newest first. */
const createSlotHashes = (svm: LiteSvm, hashOf: (slot: number) => string) => {
  let known: readonly { slot: number; hash: string }[] = []
  return (slot: number): void => {
    const oldest = Math.max(slot - SLOT_HASHES, (known[0]?.slot ?? -1) + 1, 0)
    const fresh = Array.from({ length: Math.max(slot - oldest, 0) }, (_, index) => slot - 1 - index)
    if (fresh.length === 0) return
    known = [...fresh.map((past) => ({ slot: past, hash: hashOf(past) })), ...known].slice(0, SLOT_HASHES)
    svm.setSlotHashes(known.map(({ slot: past, hash }) => ({ slot: BigInt(past), hash })))
  }
}
