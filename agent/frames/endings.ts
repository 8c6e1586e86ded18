// How a frame's time on this board ends: each is counted out once, and every task gets its answer.
import type { DropReason, ResultError } from '../../broker/protocol/messages.ts'
import type { RunOutcome } from '../../models/runtime/host.ts'
import type { Clock } from '../clock.ts'
import type { Answers } from './answers.ts'
import { STRIKES } from './strikes.ts'
import { inputOf } from './suspects.ts'
import type { Tally } from './tally.ts'
import type { Job } from './work.ts'

export interface Endings {
  /** It is not run: a stream frame is dropped for this reason, a task is refused. */
  unrun(job: Job, reason: DropReason): void
  /** It is not run, because this input killed the process: `how`. */
  poisonous(job: Job, how: string): void
  /** It is not run, because its model rests. */
  resting(job: Job, error: ResultError): void
  /** `again`: the run killed the process, and so did one before it. */
  ran(job: Job, outcome: RunOutcome, queuedMs: number, again?: boolean): void
}

interface Options {
  readonly answers: Answers
  readonly tally: Pick<Tally, 'dropped'>
  readonly clock: Pick<Clock, 'elapsed'>
  /** It is neither in the queue nor in the host any more. */
  readonly left: (job: Job) => void
  /** Expected time until what is ahead of one like this is done. */
  readonly aheadMs: (job: Job) => number
  readonly waiting: () => number
  /** A frame of a stream was run and answered. */
  readonly seen?: ((job: Job) => void) | undefined
}

const SOONEST_MS = 100
const LATEST_MS = 60_000

const poison = (how: string): ResultError => ({
  code: 'poison',
  message: `this input killed the inference process ${STRIKES} times (the last time: ${how}): this board does not run it on this version of the model again`,
})

export function createEndings({ answers, tally, clock, left, aheadMs, waiting, seen }: Options): Endings {
  const waitedMs = ({ arrivedAt }: Job): number => clock.elapsed() - arrivedAt

  const lateMs = ({ deadline = Number.POSITIVE_INFINITY }: Job): number => clock.elapsed() - deadline

  const busy = (job: Job, message: string): ResultError => ({
    code: 'busy',
    message,
    retryAfterMs: Math.min(LATEST_MS, Math.max(SOONEST_MS, Math.round(aheadMs(job)))),
  })

  function errorOf(job: Job, reason: DropReason): ResultError {
    if (reason === 'late')
      return {
        code: 'expired',
        message: `the deadline passed after ${Math.round(waitedMs(job))} ms in this board's queue`,
      }
    if (reason === 'stopping') return busy(job, 'this board is shutting down')
    return busy(job, `${waiting()} frames are already waiting on this board, too many of them from this sender`)
  }

  function refuse(job: Job, error: ResultError): void {
    left(job)
    answers.refused(job.to, error, waitedMs(job), job.pkg)
  }

  function unrun(job: Job, reason: DropReason): void {
    if (job.kind === 'task') refuse(job, errorOf(job, reason))
    else {
      left(job)
      tally.dropped(reason)
    }
  }

  return {
    unrun,
    poisonous: (job, how) => refuse(job, poison(how)),
    resting: refuse,
    ran(job, outcome, queuedMs, again = false) {
      if (!outcome.ok && outcome.error.code === 'expired') return unrun(job, 'late')
      left(job)
      const told = again && !outcome.ok ? { ...outcome, error: poison(outcome.error.message) } : outcome
      answers.ran(job.to, job.pkg, () => inputOf(job), told, { queueMs: queuedMs, lateMs: lateMs(job) })
      if (job.kind === 'frame' && outcome.ok) seen?.(job)
    },
  }
}
