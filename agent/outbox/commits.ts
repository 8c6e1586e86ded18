// Decides when the buffer is written. An answer waits until its commit is on disk before it is published, so with nothing else
// going on it is written at once; under load answers share a commit, the longer the line, the more of them. Nothing else waits for the
// disk: what comes meanwhile shares the next commit. Acknowledgements are in no hurry: losing one only means that something is sent again.
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Buffer } from './buffer.ts'
import { type Answer, BATCH_ITEMS, type Written } from './buffer-write.ts'
import { createPending, mayPass } from './pending.ts'

export interface CommitDelays {
  /** Between two commits with answers in them, at least. */
  readonly gapMs: number
  /** The same for each frame in the house, whose answer will come in a moment and can share the commit. */
  readonly gapPerFrameMs: number
  /** And at most. */
  readonly longestGapMs: number
  /** From a receipt item to the batch it is signed in, where another commit can carry it. */
  readonly cutMs: number
  /** The same where none comes along. */
  readonly cutAloneMs: number
  /** From an acknowledgement to the commit that notes it, unless another commit comes first. */
  readonly settleMs: number
  /** After a commit that failed (disk full, read-only). */
  readonly retryMs: number
  /** Without work, until the buffer may tidy up its file. */
  readonly restMs: number
}

export const COMMIT_DELAYS: CommitDelays = {
  gapMs: 5,
  gapPerFrameMs: 3,
  longestGapMs: 100,
  cutMs: 250,
  cutAloneMs: 500,
  settleMs: 2_000,
  retryMs: 1_000,
  restMs: 15_000,
}

export interface Commits {
  add(answer: Answer): void
  /** The PUBACK of a row came. */
  settle(seq: number): void
  /** The console holds every batch up to here. */
  acknowledge(upTo: number): void
  /** Receipts that were in batches are in none any more: they are signed anew. */
  unsigned(): void
  /** Writes what is pending now, then signs all of it. Resolves when it is on disk; false when the disk refused it. */
  flush(): Promise<boolean>
  /** How long an answer waits here before it is on disk and can be sent, at most, as things are. */
  delayMs(): number
  /** True for a task whose answer is made but not on disk yet. */
  holds(model: string, task: string): boolean
  /** Answers that no commit has taken yet. */
  pending(): number
  /** The disk refuses writes: no more work should be taken. */
  failing(): boolean
  close(): void
}

interface Options {
  readonly buffer: Pick<Buffer, 'write' | 'sync' | 'uncut' | 'rest'>
  readonly clock: Clock
  readonly log: Logger
  readonly delays?: CommitDelays
  /** Frames here whose answers are not made yet. */
  readonly inHouse?: () => number
  /** After each commit, once it is on disk; `seqs` are the rows of `answers`. */
  readonly onWritten: (written: Written, answers: readonly Answer[]) => void
}

export function createCommits({
  buffer,
  clock,
  log,
  onWritten,
  delays = COMMIT_DELAYS,
  inHouse = () => 0,
}: Options): Commits {
  const pending = createPending({ buffer, log, onWritten })
  const alarm = createAlarm(clock, () => void commit(false))
  let uncutSince: number | undefined
  /** Settles with the commit that is under way. */
  let turn: Promise<boolean> | undefined
  let lastAt = Number.NEGATIVE_INFINITY
  let tookMs = 0
  let stopRest: (() => void) | undefined

  const until = (since: number, spanMs: number): number => since + spanMs - clock.elapsed()

  const gapMs = (): number => Math.min(delays.longestGapMs, Math.max(delays.gapMs, delays.gapPerFrameMs * inHouse()))

  function commit(cutNow: boolean): Promise<boolean> {
    alarm.cancel()
    stopRest?.()
    const startedAt = clock.elapsed()
    const isRipe = uncutSince !== undefined && until(uncutSince, delays.cutMs) <= 0
    const { promise, resolve } = Promise.withResolvers<boolean>()
    turn = promise
    pending.commit(cutNow || isRipe || buffer.uncut() >= BATCH_ITEMS, (outcome) => {
      turn = undefined
      lastAt = clock.elapsed()
      tookMs = lastAt - startedAt
      if (buffer.uncut() === 0) uncutSince = undefined
      else if (outcome !== 'failed') uncutSince = outcome === 'cut' ? lastAt : (uncutSince ?? lastAt)
      schedule()
      resolve(outcome !== 'failed')
    })
    return promise
  }

  function schedule(): void {
    if (turn) return
    stopRest?.()
    if (pending.failing()) alarm.within(delays.retryMs)
    else if (pending.answers() > 0) alarm.within(until(lastAt, gapMs()))
    else if (uncutSince !== undefined) alarm.within(until(uncutSince, delays.cutAloneMs))
    else if (pending.hasNotes()) alarm.within(delays.settleMs)
    else stopRest = clock.after(delays.restMs, () => rest(buffer, log))
  }

  function unsigned(): void {
    if (buffer.uncut() > 0) uncutSince = Number.NEGATIVE_INFINITY
    schedule()
  }

  // What an earlier process left unsigned is signed at once.
  unsigned()
  return {
    unsigned,
    add(answer) {
      pending.add(answer)
      schedule()
    },
    settle(seq) {
      pending.settle(seq)
      schedule()
    },
    acknowledge(upTo) {
      pending.acknowledge(upTo)
      schedule()
    },
    async flush() {
      await turn
      if (pending.isHalfDone() && !(await commit(false))) return false
      return (await commit(false)) && (await commit(true))
    },
    // The commit that has just begun, the gap, and its own.
    delayMs: () => gapMs() + 2 * tookMs,
    holds: pending.holds,
    pending: pending.answers,
    failing: pending.failing,
    close() {
      alarm.cancel()
      stopRest?.()
    },
  }
}

function rest(buffer: Pick<Buffer, 'rest'>, log: Logger): void {
  try {
    buffer.rest()
  } catch (error) {
    if (!mayPass(error)) throw error
    log.warn({ err: error }, 'the outbox could not be tidied up')
  }
}

/** One alarm that rings at the earliest time asked for. */
function createAlarm(clock: Clock, ring: () => void) {
  let dueAt: number | undefined
  let stop: (() => void) | undefined
  function cancel(): void {
    stop?.()
    stop = undefined
    dueAt = undefined
  }
  return {
    cancel,
    within(delayMs: number): void {
      const at = clock.elapsed() + Math.max(0, delayMs)
      if (dueAt !== undefined && dueAt <= at) return
      cancel()
      dueAt = at
      stop = delayMs > 0 ? clock.after(delayMs, ring) : clock.soon(ring)
    },
  }
}
