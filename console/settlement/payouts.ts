// The payout engine: closes the epoch, plans, signs, sends and watches until finalized. Everything it needs to go on is in
// the database, so it may be killed anywhere; what is in memory here only paces it.
import { setTimeout as sleepFor } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import { closeEpoch, openEpoch } from '../rewards/epochs.ts'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import { affordable } from './affordable.ts'
import { createPayoutBook, type OpenPayout, type PayoutBook } from './book.ts'
import { ChainError } from './chain-error.ts'
import { type Attempt, decide, type Sight, type Step } from './decide.ts'
import { createWriterLease } from './lease.ts'
import type { PayoutChain } from './payer.ts'
import { type PayableOwner, payableOwners, planPayouts } from './plan.ts'

export interface PayoutOptions {
  readonly db: Kysely<Database>
  readonly chain: PayoutChain
  /** Of this process, and of no other. */
  readonly holder: string
  readonly now: () => number
  readonly log: Logger
  /** After every committed move. */
  readonly moved: (payout: string, state: PayoutState) => void
  readonly settings: { readonly minimumUnits: bigint }
  readonly sleep?: (ms: number, options: { signal: AbortSignal }) => Promise<unknown>
}

export interface Settled {
  /** Ids of the payouts planned by this call. */
  readonly planned: readonly string[]
  /** Owners whose money stays payable, each with its reason. */
  readonly held: readonly PayableOwner[]
}

export interface PayoutStanding {
  readonly open: number
  /** Why payouts are not getting on (a sentence for people); undefined when they are. */
  readonly trouble: string | undefined
}

export interface Payouts {
  /** Closes the epoch, plans what may be paid, and takes the first steps; the loop does the rest. */
  settleNow(): Promise<Settled>
  /** One round over all open payouts. False when the chain did not answer. */
  turn(): Promise<boolean>
  /** Turns until aborted, then gives the writer's lease back. */
  run(signal: AbortSignal): Promise<void>
  standing(): PayoutStanding
  /** Owners with payable money and, where it is held, why. */
  payable(): Promise<PayableOwner[]>
}

const TURN_MS = 1_000
const MAX_BACK_OFF_MS = 30_000
/** The same bytes again: a node that dropped them, or a leader that did, gets another chance. */
const RESEND_MS = 2_000
/** Signing takes milliseconds of this process's only thread; a blockhash lasts a minute. */
const SIGNED_PER_TURN = 250
const SENDS_AT_ONCE = 8

const movedOn = (step: Step): boolean => step.do !== 'sign' && step.do !== 'send' && step.do !== 'wait'

export function createPayouts(options: PayoutOptions): Payouts {
  const { db, now, log, settings, sleep = (ms, { signal }) => sleepFor(ms, undefined, { signal }) } = options
  const lease = createWriterLease(options)
  const book = createPayoutBook({ ...options, lease })
  const round = createRound({ ...options, book })
  let standing: PayoutStanding = { open: 0, trouble: undefined }
  let last: Promise<unknown> = Promise.resolve()

  const turnOnce = async (): Promise<boolean> => {
    const open = await book.open()
    standing = { open: open.length, trouble: undefined }
    if (open.length === 0 || !(await lease.hold())) return true
    try {
      standing = { open: open.length, trouble: await round(open) }
      return true
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      standing = { open: open.length, trouble: `payouts wait: ${error.message}` }
      log.warn({ err: error, open: open.length }, 'a payout turn ended early')
      return false
    }
  }

  /** One turn at a time, also when the loop and "settle now" meet. */
  const turn = (): Promise<boolean> => {
    const result = last.then(turnOnce)
    last = result.catch(() => undefined)
    return result
  }

  return {
    async settleNow() {
      const settled = await db.transaction().execute(async (trx) => {
        const at = now()
        const closed = await closeEpoch(trx, at)
        // Nothing matured: what was payable before (a new wallet, a failed payout) is paid under the open epoch.
        const epoch = closed?.epoch ?? (await openEpoch(trx, at))
        return planPayouts(trx, { epoch, now: at, ...settings })
      })
      for (const id of settled.planned) options.moved(id, 'planned')
      if (settled.planned.length > 0) log.info({ planned: settled.planned.length }, 'payouts planned')
      await turn()
      return settled
    },
    turn,
    async run(signal) {
      let failures = 0
      while (!signal.aborted) {
        failures = (await turn()) ? 0 : failures + 1
        const delayMs = Math.min(TURN_MS * 2 ** failures, MAX_BACK_OFF_MS)
        await sleep(delayMs, { signal }).catch(() => undefined)
      }
      await lease.release()
    },
    standing: () => standing,
    payable: () => payableOwners(db, settings.minimumUnits),
  }
}

interface RoundOptions extends Pick<PayoutOptions, 'chain' | 'now' | 'log'> {
  readonly book: PayoutBook
}
interface Decided {
  readonly payout: OpenPayout
  readonly step: Step
}
interface Parcel {
  readonly payout: OpenPayout
  readonly attempt: Attempt
}

/** One round: look, move what the chain has settled, sign what may be signed, send what is due. Answers the trouble, if any. */
function createRound({ chain, book, now, log }: RoundOptions) {
  const sentAt = new Map<string, number>()

  const look = async (open: readonly OpenPayout[]): Promise<Sight> => {
    const signatures = open.flatMap(({ attempts }) => attempts.map(({ signature }) => signature))
    if (signatures.length === 0) return { finalizedHeight: 0, current: false, found: new Map() }
    // In this order: a transaction unknown after its last valid height was final can never land.
    const { slot, height } = await chain.finalized()
    const statuses = await chain.statuses(signatures)
    return { finalizedHeight: height, current: statuses.slot >= slot, found: statuses.found }
  }

  const settle = async ({ payout, step }: Decided): Promise<void> => {
    if (step.do === 'finalize') await book.finalized(payout)
    if (step.do === 'fail') await book.failed(payout, step.reason)
    if (step.do === 'confirm') await book.confirmed(payout)
    if (step.do === 'unconfirm') await book.unconfirmed(payout)
    if (step.do === 'expire') await book.expired(payout)
    if (step.do === 'fail')
      log.error({ payout: payout.id, reason: step.reason }, 'payout failed; the money is payable again')
    if (step.do === 'finalize') log.info({ payout: payout.id, units: payout.units.toString() }, 'payout finalized')
  }

  const sign = async (decided: readonly Decided[]): Promise<{ parcels: Parcel[]; trouble: string | undefined }> => {
    const wanted = decided.filter(({ step }) => step.do === 'sign').map(({ payout }) => payout)
    if (wanted.length === 0) return { parcels: [], trouble: undefined }
    const batch = wanted.slice(0, SIGNED_PER_TURN)
    const inFlight = decided.filter(({ step }) => step.do === 'send' || step.do === 'wait').map(({ payout }) => payout)
    const funds = await chain.funds(batch.map(({ wallet }) => wallet))
    const { payouts, shortage } = affordable(batch, inFlight, funds, chain.treasury)
    if (payouts.length === 0) return { parcels: [], trouble: shortage }
    const lifetime = await chain.lifetime()
    const parcels: Parcel[] = []
    for (const payout of payouts) {
      const signed = chain.sign(payout, lifetime)
      if (!(await book.signed(payout, signed))) continue
      const attempt = { ...signed, attempt: payout.attempts.length + 1 }
      parcels.push({ payout: { ...payout, state: 'signed', attempts: [...payout.attempts, attempt] }, attempt })
    }
    return { parcels, trouble: shortage }
  }

  const send = async ({ payout, attempt }: Parcel): Promise<void> => {
    sentAt.set(payout.id, now())
    try {
      await chain.send(attempt.wire)
    } catch (error) {
      // Also a refusal proves nothing: an earlier send of the same bytes may be landing. Only the chain's word counts.
      if (!(error instanceof ChainError)) throw error
      log.warn({ payout: payout.id, attempt: attempt.attempt, err: error }, 'a payout was not taken by the RPC')
    }
    if (payout.state === 'signed') await book.sent(payout)
  }

  const sendAll = async (parcels: readonly Parcel[]): Promise<void> => {
    for (let at = 0; at < parcels.length; at += SENDS_AT_ONCE)
      await Promise.all(parcels.slice(at, at + SENDS_AT_ONCE).map(send))
  }

  return async (open: readonly OpenPayout[]): Promise<string | undefined> => {
    const sight = await look(open)
    const decided = open.map((payout) => ({ payout, step: decide(payout, sight) }))
    for (const each of decided) if (movedOn(each.step)) await settle(each)
    const { parcels, trouble } = await sign(decided)
    const due = decided.flatMap(({ payout, step }) =>
      step.do === 'send' && now() - (sentAt.get(payout.id) ?? 0) >= RESEND_MS
        ? [{ payout, attempt: step.attempt }]
        : [],
    )
    await sendAll([...parcels, ...due])
    const ids = new Set(open.map(({ id }) => id))
    for (const id of sentAt.keys()) if (!ids.has(id)) sentAt.delete(id)
    return trouble
  }
}
