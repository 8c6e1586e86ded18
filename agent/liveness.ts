// Whether the work goes on: what the watchdog asks before each ping. A process whose event loop turns while its runs stand
// still is as dead as one that hangs.
import type { InferenceHost } from '../models/runtime/host.ts'
import type { Work } from './frames/work.ts'

export interface Liveness {
  /** Why the work must be called stuck, or undefined. To be asked regularly. */
  stuck(): string | undefined
}

interface Options {
  readonly work: Pick<Work, 'load' | 'ended'>
  readonly host: Pick<InferenceHost, 'stats'>
  /** Infinity: the board is too hot and works on nothing on purpose. */
  readonly slow: () => number
  /** A run may take this long. */
  readonly runLimitMs: number
  /** Milliseconds that never jump. */
  readonly elapsed: () => number
}

/** A host that has to be killed, started again and given its models back on a slow card is still on its way. */
const LEAST_MS = 180_000
/** A run, its second try, and the start between them. */
const RUNS = 5

/**
 * With frames in hand, a run must end, well or not, within this time. Frames that end without one say nothing: a camera's next
 * frame takes the place of the one before also in front of a host that hangs. A disk that takes nothing and a broker that is
 * away are no reasons: runs end all the same, and a restart cures neither. Nor is a host that does not start: it is tried again
 * only now and then, and its owner is told.
 */
export function createLiveness({ work, host, slow, runLimitMs, elapsed }: Options): Liveness {
  const limitMs = Math.max(LEAST_MS, RUNS * runLimitMs)
  const held = (): boolean => slow() === Number.POSITIVE_INFINITY || !host.stats().ready
  let last = { ended: work.ended(), at: elapsed() }
  return {
    stuck() {
      const now = { ended: work.ended(), at: elapsed() }
      const waiting = work.load()
      if (now.ended !== last.ended || waiting === 0 || held()) last = now
      const stillMs = now.at - last.at
      if (stillMs < limitMs) return undefined
      return `${waiting} frames in hand, and no run has ended for ${Math.round(stillMs / 1000)} s`
    },
  }
}
