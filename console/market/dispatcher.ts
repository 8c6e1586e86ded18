// The pool: holds tasks in SQLite, leases each to one board at a time, answers each once.
import { hash } from 'node:crypto'
import type { Logger } from 'pino'
import { parseFrame } from '../../broker/protocol/envelope.ts'
import type { ResultMessage } from '../../broker/protocol/messages.ts'
import type { Topic } from '../../broker/protocol/topics.ts'
import { createGroupCommit } from '../store/group-commit.ts'
import type { Store } from '../store/open.ts'
import { createAlias } from './alias.ts'
import { createBook } from './book.ts'
import type { Candidate } from './choice.ts'
import { type Counts, createCounters, type Verdict } from './counters.ts'
import type { Frames } from './frames.ts'
import { createHandOver } from './hand-over.ts'
import type { Offer, Offered } from './intake.ts'
import { DEFAULT_LIMITS, type MarketLimits } from './limits.ts'
import type { Prices } from './prices.ts'
import type { Market, TaskEvent } from './round.ts'
import { type Arrival, createWork, type Outcome } from './rounds.ts'
import { createStreams } from './streams.ts'
import { waitForAnswer } from './waiting.ts'

export interface DispatcherOptions {
  readonly store: Store
  readonly now: () => number
  /** ULIDs (market/ulid.ts). */
  readonly newId: () => string
  /** Resolves once the broker has it. */
  readonly send: (topic: Topic, payload: Uint8Array | string, options: { readonly qos: 0 | 1 }) => Promise<void>
  /** The boards that may be given work now: online, heard of lately. */
  readonly boards: () => readonly Candidate[]
  readonly prices: Prices
  readonly frames: Frames
  readonly emit: (event: TaskEvent) => void
  readonly log: Logger
  readonly limits?: Partial<MarketLimits>
  /** Awaited between two commits under load (store/group-commit.ts). */
  readonly pause?: () => Promise<unknown>
}

export interface TaskOffer {
  readonly requester: string
  readonly model: string
  /** The payload as it came: raw media bytes, JSON or a CBOR map. */
  readonly payload: Uint8Array
}

export interface DispatcherStats extends Counts {
  readonly queued: number
  readonly leased: number
  /** Stream frames that wait for a board. */
  readonly frames: number
  readonly storedBytes: number
  /** Answers whose hand-over is under way. */
  readonly answering: number
  /** Accepted, but neither open nor ended: 0, or there is a bug. */
  readonly lost: number
  /** Results of boards since the start, by what became of them. */
  readonly results: Readonly<Record<Verdict, number>>
}

export interface Dispatcher {
  /** A task for the pool; a missing `requestId` is made. Never rejects for bad input: refusals are values. */
  offer(offer: TaskOffer & { readonly requestId?: string }): Promise<Offered>
  /** A stream frame: newest wins, nothing promised. */
  frame(offer: TaskOffer): Promise<void>
  /** What a board published for a task. */
  result(device: string, task: string, message: ResultMessage): Promise<Verdict>
  /** The answer of a task, at once if there is one already. Rejects with the signal's reason, or for an unknown task. */
  waitFor(task: string, signal: AbortSignal): Promise<ResultMessage>
  boardGone(device: string): Promise<void>
  /** Deadlines, ends of leases, boards that came back, answers not handed over; to be called a few times a second. */
  turn(): Promise<void>
  stats(): DispatcherStats
  /** Resolves when no round is under way. */
  settled(): Promise<void>
}

const prepare = ({ requester, model, payload }: TaskOffer, requestId?: string): Offer => {
  const parsed = parseFrame(payload)
  const inputSha256 = parsed.ok ? hash('sha256', parsed.frame.data, 'hex') : ''
  return {
    requester,
    model,
    bytes: payload.byteLength,
    parsed,
    inputSha256,
    ...(requestId !== undefined && { requestId }),
  }
}

/** Loads the open tasks of the process before: their leases go on, their answers are told if they were not. */
export async function createDispatcher(options: DispatcherOptions): Promise<Dispatcher> {
  const { store, now, newId, log } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const market: Market = {
    book: createBook(),
    counters: createCounters(now),
    streams: createStreams(limits.noticeMs),
    prices: options.prices,
    frames: options.frames,
    limits,
    newId,
    // New at each start: a board's memory of who had how much is shorter than that.
    aliasOf: createAlias(newId()),
    boards: options.boards,
  }
  const { book, counters, streams } = market

  async function load(): Promise<void> {
    await counters.load(store.db)
    await book.reload(store.db, now(), limits.avoidMs)
    for (const _ of streams.clear()) counters.dropped('console-fault')
  }

  const handOver = createHandOver(options)
  const group = createGroupCommit<Arrival, Outcome>({
    db: store.db,
    ...(options.pause && { pause: options.pause }),
    work: createWork({ market, now, handOver }),
    recover: async () => {
      log.error('a round of the dispatcher was rolled back: loading its tasks again')
      await load()
    },
  })
  await load()

  return {
    async offer({ requestId = newId(), ...offer }) {
      return (await group.run({ kind: 'task', offer: prepare(offer, requestId), requestId })) as Offered
    },
    async frame(offer) {
      await group.run({ kind: 'frame', offer: prepare(offer) })
    },
    result: async (device, task, message) => (await group.run({ kind: 'result', device, task, message })) as Verdict,
    boardGone: async (device) => void (await group.run({ kind: 'gone', device })),
    turn: async () => void (await group.run({ kind: 'turn' })),
    waitFor: (task, signal) => waitForAnswer(store, handOver, task, signal),
    stats: () => {
      const counts = counters.read()
      const { done, failed, expired } = counts.ended
      const open = book.size - streams.size
      return {
        ...counts,
        queued: book.queue.size - streams.size,
        leased: book.size - book.queue.size,
        frames: streams.size,
        storedBytes: book.storedBytes,
        answering: handOver.underWay.size,
        lost: counts.accepted - done - failed - expired - open,
        results: counters.results(),
      }
    },
    settled: group.settled,
  }
}
