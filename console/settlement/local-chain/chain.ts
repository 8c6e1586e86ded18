// The local chain itself, without any network: checks a transaction as a node does, runs it in LiteSVM and writes it to
// the journal before it counts. Account reads are always of the newest slot; the chain never forks.
import { mkdirSync } from 'node:fs'
import type { Logger } from 'pino'
import { encodeBase58 } from '../base58.ts'
import { createSlotClock, type SlotClock } from './clock.ts'
import { createFaucet } from './faucet.ts'
import { type HistoryQuery, type Journal, type Landed, openJournal } from './journal.ts'
import { parseTransaction, WireFault, type WireTransaction } from './message.ts'
import { lamportsOf, loadedAddresses, memoOf, metaOf } from './record.ts'
import { RpcFault } from './rpc-fault.ts'
import { type ChainState, createState } from './state.ts'
import type { AccountState, Svm } from './svm.ts'
import { errorSentence, type TransactionError } from './svm-errors.ts'

export interface ChainOptions {
  readonly folder: string
  readonly now: () => number
  readonly log: Logger
  /** Fixed when the chain begins; 400 ms as on mainnet unless told. */
  readonly slotMs?: number
  /** A snapshot costs a few milliseconds and a flush, a replayed transaction about one: 500 keep a start short. */
  readonly snapshotEvery?: number
}
export type Simulation = ReturnType<Svm['simulate']>
export interface Chain {
  readonly genesisHash: string
  readonly slotMs: number
  readonly clock: SlotClock
  /** Answers the signature once the transaction is on disk; throws RpcFault as a node's sendTransaction would. */
  submit(wire: Uint8Array, options?: { skipPreflight?: boolean }): string
  simulate(wire: Uint8Array, options: { verify: boolean; anyBlockhash: boolean }): Simulation
  airdrop(address: string, lamports: bigint): string
  account(address: string): AccountState | undefined
  programAccounts(program: string): ReadonlyMap<string, AccountState>
  rentExempt(bytes: number): bigint
  find(signature: string): Landed | undefined
  history(query: HistoryQuery): Landed[]
  transactionCount(): number
  close(): void
}

const NOT_RUN = { logs: [], units: 0, inner: [], returnData: null, accounts: new Map<string, AccountState>() } as const

const parse = (wire: Uint8Array): WireTransaction => {
  try {
    return parseTransaction(wire)
  } catch (error) {
    if (!(error instanceof WireFault)) throw error
    throw new RpcFault('invalidParams', `failed to deserialize transaction: ${error.message}`)
  }
}

const preflightFault = ({ logs, returnData, units }: Simulation, err: TransactionError): RpcFault =>
  err === 'SignatureFailure'
    ? new RpcFault('signatureVerificationFailure', 'Transaction signature verification failure')
    : new RpcFault('preflightFailure', `Transaction simulation failed: ${errorSentence(err)}`, {
        accounts: null,
        err,
        innerInstructions: null,
        loadedAccountsDataSize: 0,
        logs,
        replacementBlockhash: null,
        returnData,
        unitsConsumed: units,
      })

interface Parts {
  readonly journal: Journal
  readonly state: ChainState
  readonly clock: SlotClock
  readonly log: Logger
}

const simulate = ({ state, clock }: Parts, tx: WireTransaction, verify: boolean, anyBlockhash: boolean): Simulation => {
  if (!anyBlockhash && clock.slotOf(tx.blockhash) === undefined) return { ...NOT_RUN, err: 'BlockhashNotFound' }
  return state.svm.simulate(tx.wire, { slot: clock.slot(), unixTime: clock.unixTime() }, verify)
}

const land = ({ journal, state, clock, log }: Parts, tx: WireTransaction, signature: string): void => {
  const at = { slot: clock.slot(), unixTime: clock.unixTime() }
  const loaded = loadedAddresses(tx, state.svm)
  const keys = [...tx.keys, ...loaded.writable, ...loaded.readonly]
  const holdings = () => keys.map((key) => state.svm.account(key))
  const before = holdings()
  const run = state.svm.execute(tx.wire, at)
  const after = holdings()
  // A transaction that was not charged never got into a block: a node drops it without a trace.
  if (lamportsOf(before) === lamportsOf(after)) return
  const meta = JSON.stringify(metaOf(run, before, after, loaded, state.svm))
  const err = run.err === null ? null : JSON.stringify(run.err)
  try {
    journal.append({ ...at, signature, wire: tx.wire, memo: memoOf(tx), err, meta }, [...new Set(keys)])
  } catch (cause) {
    // Memory ran ahead of the disk: back to what is written.
    state.restore()
    log.error({ err: cause, signature }, 'the local chain could not write a transaction; it did not happen')
    throw new RpcFault('internal', 'the local chain could not write the transaction to disk')
  }
  state.appended()
}

const submit = (parts: Parts, wire: Uint8Array, skipPreflight: boolean): string => {
  const tx = parse(wire)
  const signature = tx.signatures[0] ?? ''
  // A re-sent transaction changes nothing, for as long as the chain lives; other bytes under its signature are a forgery.
  const known = parts.journal.find(signature)
  if (known && !Buffer.from(known.wire).equals(wire))
    throw new RpcFault('signatureVerificationFailure', 'Transaction signature verification failure')
  if (known) return signature
  if (skipPreflight && parts.clock.slotOf(tx.blockhash) === undefined) return signature
  if (!skipPreflight) {
    const result = simulate(parts, tx, true, false)
    if (result.err !== null) throw preflightFault(result, result.err)
  }
  land(parts, tx, signature)
  return signature
}

/** Opens the chain kept in a folder, or begins one there. */
export function openChain({ folder, now, log, slotMs = 400, snapshotEvery = 500 }: ChainOptions): Chain {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const journal = openJournal(folder, { startedAtMs: now(), slotMs })
  const { birth } = journal
  const faucet = createFaucet(birth.genesis)
  const clock = createSlotClock({ ...birth, lastSlot: journal.last().slot, now })
  const { blockhash: hashOf } = clock
  const state = createState({ folder, journal, faucetAddress: faucet.address, snapshotEvery, hashOf })
  const parts: Parts = { journal, state, clock, log }
  let airdrops = 0
  return {
    genesisHash: encodeBase58(birth.genesis),
    slotMs: birth.slotMs,
    clock,
    submit: (wire, options) => submit(parts, wire, options?.skipPreflight ?? false),
    simulate: (wire, { verify, anyBlockhash }) => simulate(parts, parse(wire), verify, anyBlockhash),
    airdrop(address, lamports) {
      const memo = `airdrop ${journal.last().seq}.${++airdrops}`
      return submit(parts, faucet.transfer(address, lamports, clock.blockhash(clock.slot()), memo), false)
    },
    account: (address) => state.svm.account(address),
    programAccounts: (program) => state.svm.programAccounts(program),
    rentExempt: (bytes) => state.svm.rentExempt(bytes),
    find: journal.find,
    history: journal.history,
    transactionCount: () => journal.last().seq,
    close() {
      state.save()
      journal.close()
    },
  }
}
