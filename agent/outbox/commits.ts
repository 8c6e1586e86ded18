// Decides when the buffer is written. An answer waits for its commit before it is published, so with nothing else going
// on it is written at once; under load answers share a commit, the longer the line, the more of them. Acknowledgements are in no hurry:
// losing one only means that something is sent again.
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Buffer } from './buffer.ts'
import { type Answer, BATCH_ITEMS, type Written } from './buffer-write.ts'

export interface CommitDelays {
  /** Between two commits with answers in them, at least. */
  readonly gapMs: number
  /** The same for each frame in the house, whose answer will come in a moment and can share the commit. */
  readonly gapPerFrameMs: number
  /** And at most: a slow card gets twice as long as its last commit took. */
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
  /** Writes what is pending now, then signs all of it. False when the disk refused it. */
  flush(): boolean
  /** How long an answer waits here before it is on disk and can be sent, at most, as things are. */
  delayMs(): number
  /** True for a task whose answer is made but not on disk yet. */
  holds(model: string, task: string): boolean
  /** Answers not on disk yet. */
  pending(): number
  /** The disk refuses writes: no more work should be taken. */
  failing(): boolean
  close(): void
}

interface Options {
  readonly buffer: Pick<Buffer, 'write' | 'uncut' | 'rest'>
  readonly clock: Clock
  readonly log: Logger
  readonly delays?: CommitDelays
  /** Frames here whose answers are not made yet. */
  readonly inHouse?: () => number
  /** After each commit; `seqs` are the rows of `answers`. */
  readonly onWritten: (written: Written, answers: readonly Answer[]) => void
}

/** Faults of the disk, which may pass. Anything else (a damaged file, a broken constraint) must end the process. */
export const mayPass = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  typeof error.code === 'string' &&
  /^SQLITE_(FULL|IOERR|READONLY|BUSY|CANTOPEN|NOMEM)/.test(error.code)

export function createCommits({
  buffer,
  clock,
  log,
  onWritten,
  delays = COMMIT_DELAYS,
  inHouse = () => 0,
}: Options): Commits {
  const alarm = createAlarm(clock, () => commit(false))
  let answers: Answer[] = []
  let pubacked: number[] = []
  let upTo: number | undefined
  let uncutSince: number | undefined
  let lastAt = Number.NEGATIVE_INFINITY
  let tookMs = 0
  let failures = 0
  let stopRest: (() => void) | undefined

  const until = (since: number, spanMs: number): number => since + spanMs - clock.elapsed()

  function gapMs(): number {
    return Math.min(delays.longestGapMs, Math.max(delays.gapMs, delays.gapPerFrameMs * inHouse(), 2 * tookMs))
  }

  function commit(cutNow: boolean): boolean {
    alarm.cancel()
    const startedAt = clock.elapsed()
    const isRipe = uncutSince !== undefined && until(uncutSince, delays.cutMs) <= 0
    const cut = cutNow || isRipe || buffer.uncut() >= BATCH_ITEMS
    const written = tryWrite(cut)
    lastAt = clock.elapsed()
    tookMs = lastAt - startedAt
    if (written) {
      const kept = answers
      answers = []
      pubacked = []
      upTo = undefined
      uncutSince = buffer.uncut() === 0 ? undefined : cut ? lastAt : (uncutSince ?? lastAt)
      onWritten(written, kept)
    }
    schedule()
    return written !== undefined
  }

  function tryWrite(cut: boolean): Written | undefined {
    try {
      const written = buffer.write({ answers, pubacked, cut, ...(upTo !== undefined && { upTo }) })
      if (failures > 0) log.info({ failures }, 'the disk takes results again')
      failures = 0
      if (written.evicted > 0) log.warn({ evicted: written.evicted }, 'the outbox is full: old samples were dropped')
      return written
    } catch (error) {
      if (!mayPass(error)) throw error
      failures += 1
      if (failures === 1) log.error({ err: error }, 'results cannot be written: no new work is taken until they can')
      return undefined
    }
  }

  function schedule(): void {
    stopRest?.()
    if (failures > 0) alarm.within(delays.retryMs)
    else if (answers.length > 0) alarm.within(until(lastAt, gapMs()))
    else if (uncutSince !== undefined) alarm.within(until(uncutSince, delays.cutAloneMs))
    else if (pubacked.length > 0 || upTo !== undefined) alarm.within(delays.settleMs)
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
      answers.push(answer)
      schedule()
    },
    settle(seq) {
      pubacked.push(seq)
      schedule()
    },
    acknowledge(batch) {
      upTo = Math.max(upTo ?? 0, batch)
      schedule()
    },
    flush: () => commit(false) && commit(true),
    delayMs: () => gapMs() + tookMs,
    holds: (model, task) => answers.some((answer) => answer.task === task && answer.model === model),
    pending: () => answers.length,
    failing: () => failures > 0,
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
