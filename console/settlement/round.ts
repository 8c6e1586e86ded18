// One round over all open batches: look, move what the chain has settled, sign what may be signed, send what is due.
import type { Logger } from 'pino'
import { affordable, unitsOf } from './affordable.ts'
import type { OpenBatch, PayoutBook, Rents } from './book.ts'
import { ChainError } from './chain-error.ts'
import { type Attempt, decide, type Step } from './decide.ts'
import type { createLook, Look } from './look.ts'
import type { Funds, PayoutChain, Through } from './payer.ts'
import { createTryOut, type Tried } from './try-out.ts'

/** The same bytes again: a node that dropped them, or a leader that did, gets another chance. */
const RESEND_MS = 2_000
/** Signing takes milliseconds of this process's only thread; a blockhash lasts a minute. */
const SIGNED_PER_TURN = 250
const AT_ONCE = 8

/**
 * What a round may do. `watch`: nothing is signed or sent, the database has not been compared with the chain. `wind-up`:
 * the database is older than the chain, so what is open here is brought to an end and not signed again.
 */
export type Mode = 'watch' | 'wind-up' | 'pay'

const OLD = 'this database came from a backup, and the chain has payouts that it did not know: planned anew'

const OUTGROWN =
  'it no longer fits into a transaction: token accounts were closed or a lookup table went since it was planned: planned anew'

interface RoundOptions {
  readonly chain: Pick<
    PayoutChain,
    | 'funds'
    | 'lifetime'
    | 'rehearse'
    | 'sign'
    | 'send'
    | 'sizeOf'
    | 'accountOf'
    | 'treasury'
    | 'feePayer'
    | 'feeLamports'
  >
  readonly book: PayoutBook
  readonly look: ReturnType<typeof createLook>
  /** What payouts can go through now. Asked only when a batch is too large for a legacy transaction. */
  readonly usableTables: () => Promise<Through>
  readonly now: () => number
  readonly log: Logger
}
interface Decided {
  readonly batch: OpenBatch
  readonly step: Step
}
interface Parcel {
  readonly batch: OpenBatch
  readonly attempt: Attempt
}
export interface Round {
  /** Why it is not getting on. */
  readonly trouble: string | undefined
  /** Batches were given up for their form alone: what was in them is to be planned anew. */
  readonly isOutgrown: boolean
}

async function eachOf<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < items.length; at += AT_ONCE)
    results.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map(run))))
  return results
}

interface Answers<R> {
  readonly results: readonly R[]
  /** What put an end to it before the last item. */
  readonly fault: ChainError | undefined
}

/** As eachOf, until the chain does not answer: what it had answered by then counts, or many batches would never get on. */
async function whileAnswered<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<Answers<R>> {
  const results: R[] = []
  const attempt = async (item: T): Promise<ChainError | undefined> => {
    try {
      results.push(await run(item))
      return undefined
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      return error
    }
  }
  for (let at = 0; at < items.length; at += AT_ONCE) {
    const faults = await Promise.all(items.slice(at, at + AT_ONCE).map(attempt))
    const fault = faults.find((one) => one !== undefined)
    if (fault) return { results, fault }
  }
  return { results, fault: undefined }
}

const rentsOf = ({ marker, lines }: OpenBatch, { without, accountRent, markerRent }: Funds): Rents => ({
  marker: marker === null ? 0n : markerRent,
  accounts: new Map(lines.flatMap(({ wallet }) => (without.has(wallet) ? [[wallet, accountRent]] : []))),
})

/** Why a batch is given up that may be signed; undefined when it is not. */
function failureOf({ rehearsal, through }: Tried, mode: Mode): { reason: string; isFaulty: boolean } | undefined {
  // Its marker is there: the next look says whose it is.
  if (rehearsal.outcome === 'taken' || rehearsal.outcome === 'refused') return undefined
  if (mode === 'wind-up') return { reason: OLD, isFaulty: false }
  if (through === undefined) return { reason: OUTGROWN, isFaulty: false }
  if (rehearsal.outcome === 'good') return undefined
  return { reason: `the chain would not pay it: ${rehearsal.reason}`, isFaulty: true }
}

const refusalOf = ({ batch, rehearsal }: Tried): string | undefined =>
  rehearsal.outcome === 'refused'
    ? `payouts wait: the chain would refuse batch ${batch.id}: ${rehearsal.reason}`
    : undefined

export function createRound({ chain, book, look, usableTables, now, log }: RoundOptions) {
  const sentAt = new Map<string, number>()
  const doubts = new Map<string, number>()

  const fail = async (batch: OpenBatch, reason: string, isFaulty: boolean): Promise<void> => {
    await book.failed(batch, reason, isFaulty)
    log.error({ batch: batch.id, reason }, 'a payout batch failed; the money is payable again')
  }

  const settle = async ({ batch, step }: Decided): Promise<void> => {
    if (step.do === 'fail') await fail(batch, step.reason, step.isFaulty)
    if (step.do === 'confirm') await book.confirmed(batch)
    if (step.do === 'unconfirm') await book.unconfirmed(batch)
    if (step.do === 'expire') await book.expired(batch)
    if (step.do !== 'finalize') return
    await book.finalized(batch)
    log.info({ batch: batch.id, units: unitsOf(batch).toString() }, 'a payout batch is final')
  }

  const signAll = async (tried: readonly Tried[], funds: Funds): Promise<Parcel[]> => {
    const good = tried.filter(({ rehearsal }) => rehearsal.outcome === 'good')
    if (good.length === 0) return []
    const lifetime = await chain.lifetime()
    const parcels: Parcel[] = []
    for (const { batch, through } of good) {
      if (through === undefined) continue
      const signed = chain.sign(batch, funds.without, lifetime, through)
      if (!(await book.signed(batch, signed, rentsOf(batch, funds)))) continue
      const attempt = { ...signed, attempt: batch.attempts.length + 1 }
      parcels.push({ batch: { ...batch, state: 'signed', attempts: [...batch.attempts, attempt] }, attempt })
    }
    return parcels
  }

  const sign = async (
    decided: readonly Decided[],
    { slot }: Look,
    mode: Mode,
  ): Promise<Round & { readonly parcels: readonly Parcel[] }> => {
    const wanted = decided.flatMap(({ batch, step }) => (step.do === 'sign' ? [batch] : [])).slice(0, SIGNED_PER_TURN)
    if (wanted.length === 0) return { parcels: [], trouble: undefined, isOutgrown: false }
    const inFlight = decided.flatMap(({ batch, step }) => (step.do === 'send' || step.do === 'wait' ? [batch] : []))
    const funds = await chain.funds(wanted.flatMap(({ lines }) => lines.map(({ wallet }) => wallet)))
    const all = { batches: wanted, shortage: undefined }
    const { batches, shortage } = mode === 'pay' ? affordable(wanted, inFlight, funds, chain) : all
    const tryOut = await createTryOut({ chain, usableTables, log, doubts, without: funds.without, slot }, batches)
    const { results: tried, fault } = await whileAnswered(batches, tryOut)
    const failures = tried.map((one) => failureOf(one, mode))
    for (const [index, failure] of failures.entries()) {
      const batch = tried[index]?.batch
      if (failure && batch) await fail(batch, failure.reason, failure.isFaulty)
    }
    const unanswered = fault && `payouts wait: ${fault.message}`
    const trouble = tried.map(refusalOf).find((sentence) => sentence !== undefined) ?? shortage ?? unanswered
    const isOutgrown = failures.some((failure) => failure?.reason === OUTGROWN)
    return { parcels: mode === 'pay' ? await signAll(tried, funds) : [], trouble, isOutgrown }
  }

  const send = async ({ batch, attempt }: Parcel): Promise<void> => {
    sentAt.set(batch.id, now())
    try {
      await chain.send(attempt.wire)
    } catch (error) {
      // Also a refusal proves nothing: an earlier send of the same bytes may be landing. Only the chain's word counts.
      if (!(error instanceof ChainError)) throw error
      log.warn({ batch: batch.id, attempt: attempt.attempt, err: error }, 'a payout batch was not taken by the RPC')
    }
    if (batch.state === 'signed') await book.sent(batch)
  }

  return async (open: readonly OpenBatch[], mode: Mode): Promise<Round> => {
    const seen = await look(open)
    const decided = open.map((batch) => ({ batch, step: decide(batch, seen.sightOf(batch)) }))
    for (const each of decided) await settle(each)
    if (mode === 'watch') return { trouble: undefined, isOutgrown: false }
    const { parcels, trouble, isOutgrown } = await sign(decided, seen, mode)
    const due = decided.flatMap(({ batch, step }) =>
      mode === 'pay' && step.do === 'send' && now() - (sentAt.get(batch.id) ?? 0) >= RESEND_MS
        ? [{ batch, attempt: step.attempt }]
        : [],
    )
    await eachOf([...parcels, ...due], send)
    const ids = new Set(open.map(({ id }) => id))
    for (const known of [sentAt, doubts]) for (const id of known.keys()) if (!ids.has(id)) known.delete(id)
    return { trouble, isOutgrown }
  }
}
