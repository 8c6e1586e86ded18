// Which of several processes a run goes to: the one that will come to it first.
import type { Worker } from './worker.ts'

export interface Load {
  /** Handed in and not answered yet. */
  readonly runs: number
  /** When it came to the first of them. */
  readonly since: number
}

/** Of two that have as much to do, the one that began earlier is free earlier. Idle, the first one: alone, a frame is quickest there. */
const isBefore = (load: Load, other: Load): boolean =>
  load.runs === other.runs ? load.runs > 0 && load.since < other.since : load.runs < other.runs

/** The one of `from`, which is not empty, that will come first to what it is given now. */
export const firstFree = <T>(from: readonly T[], loadOf: (one: T) => Load): T =>
  from.reduce((best, one) => (isBefore(loadOf(one), loadOf(best)) ? one : best))

/** Runs each frame in the worker that is free first. */
export function createBalance(from: () => readonly Worker[]): Pick<Worker, 'run'> {
  const loads = new WeakMap<Worker, { runs: number; since: number }>()

  function loadOf(worker: Worker) {
    const load = loads.get(worker) ?? { runs: 0, since: 0 }
    loads.set(worker, load)
    return load
  }

  return {
    async run(model, frame, until) {
      const worker = firstFree(from(), loadOf)
      const load = loadOf(worker)
      if (load.runs === 0) load.since = performance.now()
      load.runs += 1
      const outcome = await worker.run(model, frame, until)
      load.runs -= 1
      load.since = performance.now()
      return outcome
    },
  }
}
