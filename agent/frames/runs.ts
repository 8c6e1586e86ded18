// One run in the inference host: what it cost, and whether the input may be run again.
import type { RunOutcome } from '../../models/runtime/host.ts'
import type { Clock } from '../clock.ts'
import type { Gate } from './gate.ts'
import type { Pace } from './pace.ts'
import type { Queue } from './queue.ts'
import type { Rests } from './rests.ts'
import { STRIKES } from './strikes.ts'
import type { Suspects } from './suspects.ts'
import type { Job } from './work.ts'

export interface Runs {
  begin(job: Job): Begun
  /** Returns all the time it was on this board without being decoded or run, in milliseconds. */
  end(job: Job, begun: Begun, outcome: RunOutcome): number
  /** What is to be done with it: `again` where its process died and a second run may go well. `alone`: nothing ran beside it. */
  judge(job: Job, outcome: RunOutcome, alone: boolean): 'answer' | 'again' | 'poison'
  /** Nothing is tried again from now on. */
  last(): void
  /** Runs that ended, well or not, since the start. */
  ended(): number
}

interface Begun {
  readonly startedAt: number
  readonly expectedMs: number
  readonly depth: number | undefined
}

interface Options {
  readonly queue: Pick<Queue<Job>, 'charge'>
  readonly pace: Pace
  readonly suspects: Suspects
  readonly rests: Pick<Rests, 'ended' | 'died'>
  readonly clock: Pick<Clock, 'elapsed'>
}

export function createRuns({ queue, pace, suspects, rests, clock }: Options, gate: Gate): Runs {
  let leaving = false
  let ended = 0
  return {
    begin(job) {
      const depth = gate.began(job)
      const begun = { startedAt: clock.elapsed(), expectedMs: pace.cost(job.model) }
      return { ...begun, depth: job.kind === 'frame' && depth === 2 ? undefined : depth }
    },
    end(job, { startedAt, expectedMs, depth }, outcome) {
      const { ms } = outcome
      // One that expired on its way into a process says nothing of whether the process works.
      if (outcome.ok || outcome.error.code !== 'expired') ended += 1
      gate.ended(job, ms)
      const now = clock.elapsed()
      const killed = !outcome.ok && outcome.killed === true
      if (killed) rests.died(job.pkg.sha256)
      else if (outcome.ok) rests.ended(job.pkg.sha256)
      queue.charge(job.source, pace.ended(job.model, { startedAt, depth, now, ms, killed }) - expectedMs)
      return Math.max(0, (ms ? now - ms.decode - ms.infer : startedAt) - job.arrivedAt)
    },
    judge(job, outcome, alone) {
      if (outcome.ok) suspects.cleared(job)
      if (outcome.ok || outcome.killed !== true) return 'answer'
      if (suspects.struck(job, outcome.error.message, alone) >= STRIKES) return 'poison'
      const hasTime = job.deadline === undefined || job.deadline > clock.elapsed()
      // A live frame is not worth a second process: the next one is on its way.
      if (job.kind === 'frame' || job.retried || leaving || !hasTime) return 'answer'
      // A second run is paid for like the first.
      queue.charge(job.source, pace.cost(job.model))
      return 'again'
    },
    ended: () => ended,
    last() {
      leaving = true
    },
  }
}
