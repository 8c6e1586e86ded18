// Decides when the buffer is written. An answer waits for its commit before it is published, so with nothing else going
// on it is written at once; under load answers share a commit every few milliseconds. Acknowledgements are in no hurry:
// losing one only means that something is sent again.
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Buffer } from './buffer.ts'
import { type Answer, BATCH_ITEMS, type Written } from './buffer-write.ts'

export interface CommitDelays {
  /** Between two commits with answers in them. */
  readonly gapMs: number
  /** From a receipt item to the batch it is signed in. */
  readonly cutMs: number
  /** From an acknowledgement to the commit that notes it, unless another commit comes first. */
  readonly settleMs: number
  /** After a commit that failed (disk full, read-only). */
  readonly retryMs: number
}

export const COMMIT_DELAYS: CommitDelays = { gapMs: 5, cutMs: 250, settleMs: 2_000, retryMs: 1_000 }

export interface Commits {
  add(answer: Answer): void
  /** The PUBACK of a row came. */
  settle(seq: number): void
  /** The console holds every batch up to here. */
  acknowledge(upTo: number): void
  /** Writes what is pending now, then signs all of it. False when the disk refused it. */
  flush(): boolean
  /** True for a task whose answer is made but not on disk yet. */
  holds(model: string, task: string): boolean
  /** Answers not on disk yet. */
  pending(): number
  /** The disk refuses writes: no more work should be taken. */
  failing(): boolean
  close(): void
}

interface Options {
  readonly buffer: Pick<Buffer, 'write' | 'uncut'>
  readonly clock: Clock
  readonly log: Logger
  readonly delays?: CommitDelays
  /** After each commit; `seqs` are the new rows. */
  readonly onWritten: (written: Written) => void
}

/** Faults of the disk, which may pass. Anything else (a damaged file, a broken constraint) must end the process. */
const mayPass = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  typeof error.code === 'string' &&
  /^SQLITE_(FULL|IOERR|READONLY|BUSY|CANTOPEN|NOMEM)/.test(error.code)

export function createCommits({ buffer, clock, log, onWritten, delays = COMMIT_DELAYS }: Options): Commits {
  const alarm = createAlarm(clock, () => commit(false))
  let answers: Answer[] = []
  let pubacked: number[] = []
  let upTo: number | undefined
  let uncutSince: number | undefined
  let lastAt = Number.NEGATIVE_INFINITY
  let failures = 0

  const untilCut = (): number => remaining(uncutSince, delays.cutMs, clock.now())

  function commit(cutNow: boolean): boolean {
    alarm.cancel()
    const cut = cutNow || untilCut() <= 0 || buffer.uncut() >= BATCH_ITEMS
    const written = tryWrite(cut)
    lastAt = clock.now()
    if (written) {
      answers = []
      pubacked = []
      upTo = undefined
      uncutSince = buffer.uncut() === 0 ? undefined : cut ? lastAt : (uncutSince ?? lastAt)
      onWritten(written)
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
    if (failures > 0) alarm.within(delays.retryMs)
    else if (answers.length > 0) alarm.within(remaining(lastAt, delays.gapMs, clock.now()))
    else if (uncutSince !== undefined) alarm.within(untilCut())
    else if (pubacked.length > 0 || upTo !== undefined) alarm.within(delays.settleMs)
  }

  // What an earlier process left unsigned is signed at once.
  if (buffer.uncut() > 0) uncutSince = Number.NEGATIVE_INFINITY
  schedule()
  return {
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
    holds: (model, task) => answers.some((answer) => answer.task === task && answer.model === model),
    pending: () => answers.length,
    failing: () => failures > 0,
    close: () => alarm.cancel(),
  }
}

/** Milliseconds left of `spanMs` since `since`; never more than the span, because the wall clock may have been set back. */
const remaining = (since: number | undefined, spanMs: number, now: number): number =>
  since === undefined ? Number.POSITIVE_INFINITY : Math.min(since + spanMs - now, spanMs)

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
      const at = clock.now() + Math.max(0, delayMs)
      if (dueAt !== undefined && dueAt <= at) return
      cancel()
      dueAt = at
      stop = delayMs > 0 ? clock.after(delayMs, ring) : clock.soon(ring)
    },
  }
}
