// The payout engine: closes the epoch, plans, signs, sends and watches until finalized. Everything it needs to go on is in
// the database, so it may be killed anywhere; what is in memory here only paces it.
import { setTimeout as sleepFor } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import { closeEpoch, openEpoch } from '../rewards/epochs.ts'
import type { Payee } from '../rewards/payees.ts'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import { createPayoutBook } from './book.ts'
import { ChainError } from './chain-error.ts'
import { createGate } from './compare.ts'
import { createWriterLease } from './lease.ts'
import { createLook } from './look.ts'
import type { PayoutChain } from './payer.ts'
import { type Payable, type PlanSettings, payables, planPayouts } from './plan.ts'
import { planWithdrawal, type Withdrawal } from './plan-withdrawal.ts'
import { reclaimMarkers } from './reclaim.ts'
import { createRound } from './round.ts'
import { createTableKeeper, type TableKeeper } from './tables/keeper.ts'
import type { TableTerms } from './tables/worth.ts'

export interface PayoutSettings extends PlanSettings {
  /** Markers stand so long after their batch is final. */
  readonly keepMarkersMs: number
  /** Blocks to wait after a start before anything is signed or sent (compare.ts). */
  readonly quietBlocks: number
  /** When a lookup table pays; absent: payouts go without. */
  readonly tables?: TableTerms
}

type Sleep = (ms: number, options: { signal: AbortSignal }) => Promise<unknown>

export interface PayoutOptions {
  readonly db: Kysely<Database>
  readonly chain: PayoutChain
  /** Of this process, and of no other. */
  readonly holder: string
  readonly now: () => number
  readonly log: Logger
  /** After every committed move. */
  readonly moved: (batch: string, state: PayoutState) => void
  readonly settings: PayoutSettings
  /** As in compare.ts. */
  readonly readDeposits?: () => Promise<string | undefined>
  readonly sleep?: Sleep
}

export interface Settled {
  /** Ids of the batches planned by this call. */
  readonly planned: readonly string[]
  /** Payouts in them. */
  readonly payouts: number
  /** Payees whose money stays payable, each with its reason. */
  readonly held: readonly Payable[]
  /** Why nothing could be planned yet; it will be as soon as it can. */
  readonly waits?: string
}

export interface PayoutStanding {
  /** Batches under way. */
  readonly open: number
  /** Why payouts are not getting on (a sentence for people); undefined when they are. */
  readonly trouble: string | undefined
  /** What people should know though payouts are getting on (a sentence). */
  readonly notice: string | undefined
}

export interface Payouts {
  /** Closes the epoch, plans what may be paid, and takes the first steps; the loop does the rest. */
  settleNow(): Promise<Settled>
  /** Within the caller's transaction; answers the batch. Throws WithdrawalError and LedgerError (plan.ts). */
  planWithdrawal(trx: Kysely<Database>, withdrawal: Withdrawal): Promise<string>
  /** Whether a wallet has its token account. Rejects with ChainError. */
  hasAccount(wallet: string): Promise<boolean>
  /** One round over all open batches. False when the chain did not answer. */
  turn(): Promise<boolean>
  /** Sees to lookup tables that are being made, filled or given up. */
  tend(): Promise<void>
  /** Takes the rent of old markers back, and that of lookup tables that no longer pay. */
  tidy(): Promise<void>
  /** Turns until aborted, then gives the writer's lease back. */
  run(signal: AbortSignal): Promise<void>
  standing(): PayoutStanding
  /** Owners and publishers with payable money and, where it is held, why. */
  payable(): Promise<Payable[]>
}

const TURN_MS = 1_000
const MAX_BACK_OFF_MS = 30_000
const ELSEWHERE = 'another console does the payouts'

const isKnown =
  (db: Kysely<Database>) =>
  async (signature: string): Promise<boolean> =>
    (await db.selectFrom('payout_attempts').select('attempt').where('signature', '=', signature).executeTakeFirst()) !==
    undefined

/** One at a time, in their order; a failed one holds up nobody. */
function createQueue() {
  let last: Promise<unknown> = Promise.resolve()
  return <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work)
    last = result.catch(() => undefined)
    return result
  }
}

const NOTHING = { without: new Set<string>(), tokenUnits: 0n }

/** Which wallets lack an account is asked before the transaction; those named meanwhile are taken to lack it. */
const createPlanner =
  ({ db, chain, now, log, settings, moved }: PayoutOptions, tables: TableKeeper) =>
  async ({ epoch, isPlain }: Wanted): Promise<Settled> => {
    const paid = (await payables(db, settings.minimumUnits)).filter(({ held }) => held === undefined)
    const wallets = paid.flatMap(({ wallet }) => wallet ?? [])
    const { without, tokenUnits } = wallets.length > 0 ? await chain.funds(wallets) : NOTHING
    const withAccount = new Set(wallets).difference(without)
    const through = isPlain ? [] : await tables.usable()
    const planning = { epoch, now: now(), chain, withAccount, treasuryUnits: tokenUnits, through, ...settings }
    const done = await db.transaction().execute((trx) => planPayouts(trx, planning))
    for (const id of done.planned) moved(id, 'planned')
    if (done.planned.length > 0) log.info({ batches: done.planned.length, payouts: done.payouts }, 'payouts planned')
    await tables.consider([...withAccount])
    return done
  }

type Reasons = ReadonlyMap<Payee, string | undefined>

const payablesKnowing = async (db: Kysely<Database>, { minimumUnits }: PlanSettings, heldBy: Reasons) =>
  (await payables(db, minimumUnits)).map((one) => ({ ...one, held: one.held ?? heldBy.get(one.payee) }))

async function keepTurning(turn: () => Promise<boolean>, sleep: Sleep, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    failures = (await turn()) ? 0 : failures + 1
    const delayMs = Math.min(TURN_MS * 2 ** failures, MAX_BACK_OFF_MS)
    await sleep(delayMs, { signal }).catch(() => undefined)
  }
}

const createWithdrawals = ({
  chain,
  now,
  settings,
}: PayoutOptions): Pick<Payouts, 'planWithdrawal' | 'hasAccount'> => ({
  planWithdrawal: (trx, withdrawal) => planWithdrawal(trx, withdrawal, { now: now(), chain, ...settings }),
  hasAccount: async (wallet) => !(await chain.funds([wallet])).without.has(wallet),
})

/** Where nothing matured: what was payable before (a new wallet, a failed payout) is paid under the open epoch. */
const epochToPay = (db: Kysely<Database>, at: number): Promise<number> =>
  db.transaction().execute(async (trx) => (await closeEpoch(trx, at))?.epoch ?? (await openEpoch(trx, at)))

interface Wanted {
  readonly epoch: number
  /** Without lookup tables: what was planned through one did not get on. */
  readonly isPlain: boolean
}

/** What the engine is made of. */
function partsOf(options: PayoutOptions) {
  const { db, chain, settings } = options
  const lease = createWriterLease(options)
  const book = createPayoutBook({ ...options, lease })
  const known = isKnown(db)
  const tables = createTableKeeper({ ...options, lease, terms: settings.tables })
  const gate = createGate({
    ...options,
    lease,
    isKnown: known,
    tablesSeen: tables.takeIn,
    quietBlocks: settings.quietBlocks,
  })
  const look = createLook({ chain, isKnown: known, awaits: gate.awaits })
  const round = createRound({ ...options, book, look, usableTables: tables.usable })
  return { lease, book, tables, gate, round, plan: createPlanner(options, tables) }
}

export function createPayouts(options: PayoutOptions): Payouts {
  const { db, chain, now, log, settings } = options
  const { sleep = (ms, { signal }) => sleepFor(ms, undefined, { signal }) } = options
  const { lease, book, tables, gate, round, plan } = partsOf(options)
  const queued = createQueue()
  let standing: Omit<PayoutStanding, 'notice'> = { open: 0, trouble: undefined }
  /** A settlement that is still to be planned. */
  let wanted: Wanted | undefined
  let settled: Settled | undefined
  /** Why the last settlement left payees unpaid: some reasons only the chain knows. */
  let heldBy: Reasons = new Map()

  const work = async (): Promise<string | undefined> => {
    const before = await book.open()
    standing = { ...standing, open: before.length }
    const { mode, trouble } = await gate.pass(before.length)
    const due = mode === 'pay' ? wanted : undefined
    if (due) {
      settled = await plan(due)
      heldBy = new Map(settled.held.map(({ payee, held }) => [payee, held]))
      wanted = undefined
    }
    const open = due ? await book.open() : before
    standing = { ...standing, open: open.length }
    if (open.length === 0) return trouble
    const done = await round(open, mode)
    if (done.isOutgrown) wanted ??= { epoch: await epochToPay(db, now()), isPlain: true }
    return done.trouble ?? trouble
  }

  const turnOnce = async (): Promise<boolean> => {
    const idle = gate.isOpen && wanted === undefined && (await book.open()).length === 0
    if (idle) standing = { open: 0, trouble: undefined }
    if (idle) return true
    if (!(await lease.hold())) {
      // What another console does meanwhile is in the database, but what this one knew of the chain grows old.
      gate.close()
      standing = { open: (await book.open()).length, trouble: undefined }
      return true
    }
    try {
      const trouble = await work()
      standing = { ...standing, trouble }
      return true
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      standing = { ...standing, trouble: `payouts wait: ${error.message}` }
      log.warn({ err: error, open: standing.open }, 'a payout turn ended early')
      return false
    }
  }

  return {
    settleNow: () =>
      queued(async () => {
        wanted = { epoch: await epochToPay(db, now()), isPlain: false }
        settled = undefined
        await turnOnce()
        return settled ?? { planned: [], payouts: 0, held: [], waits: standing.trouble ?? ELSEWHERE }
      }),
    ...createWithdrawals(options),
    turn: () => queued(turnOnce),
    tidy: () =>
      queued(async () => {
        if (!gate.isOpen || !(await lease.hold())) return
        // Compared anew, so that the mark is no older than this when a backup is taken.
        gate.close()
        if ((await gate.pass((await book.open()).length)).mode !== 'pay') return
        const reclaimed = await reclaimMarkers({ db, chain, now: now(), keepMs: settings.keepMarkersMs })
        if (reclaimed > 0) log.info({ markers: reclaimed }, 'rents of old markers are back')
        await tables.tend(true)
      }),
    tend: () =>
      queued(async () => {
        if (gate.isOpen && (await lease.hold())) await tables.tend(false)
      }),
    async run(signal) {
      await keepTurning(() => queued(turnOnce), sleep, signal)
      await lease.release()
    },
    standing: () => ({ ...standing, notice: gate.notice }),
    payable: () => payablesKnowing(db, settings, heldBy),
  }
}
