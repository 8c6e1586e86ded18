// The runs that the inference host has in hand, by process: which of them waits for which. The host gives a run to the process
// that is free first (models/runtime/balance.ts); here it is noted by the same rule, to know what to expect.
import { firstFree, RUNS_PER_PROCESS } from '../../models/runtime/host.ts'

export interface InHand<R> {
  readonly run: R
  /** When it was handed in. All times are milliseconds of a clock that does not jump. */
  readonly at: number
  /** The how manyth it was in its process: 1 found it idle. */
  readonly depth: number
}

export interface Done {
  /** As `began` said. */
  readonly depth: number
  /** How long its process was at it. */
  readonly tookMs: number
}

export interface Process<R> {
  /** In the order in which they are run. */
  readonly runs: readonly InHand<R>[]
  /** When its last run ended. */
  readonly endedAt: number
}

export interface Hand<R> {
  /** A run is handed in: the how manyth one it is for its process. */
  began(run: R, now: number): number
  ended(run: R, now: number): Done | undefined
  /** What `began` would answer for the next one. */
  nextDepth(): number
  readonly size: number
  /** As many at once keep every process busy. */
  readonly room: number
  /** Those that take runs now, and those that still have some. */
  processes(): readonly Process<R>[]
}

interface Lane<R> {
  readonly runs: InHand<R>[]
  endedAt: number
}

/** When it came to the first run that it has in hand. */
export const busySince = <R>({ runs, endedAt }: Process<R>): number => Math.max(runs[0]?.at ?? 0, endedAt)

/** `processes`: that take runs now. */
export function createHand<R>(processes: () => number): Hand<R> {
  const lanes: Lane<R>[] = []
  const working = (): number => Math.max(1, processes())

  function next(): Lane<R> {
    while (lanes.length < working()) lanes.push({ runs: [], endedAt: Number.MIN_SAFE_INTEGER })
    return firstFree(lanes.slice(0, working()), (lane) => ({ runs: lane.runs.length, since: busySince(lane) }))
  }

  return {
    began(run, now) {
      const { runs } = next()
      return runs.push({ run, at: now, depth: runs.length + 1 })
    },
    ended(run, now) {
      const lane = lanes.find(({ runs }) => runs.some((one) => one.run === run))
      if (!lane) return undefined
      const tookMs = now - busySince(lane)
      const [one] = lane.runs.splice(
        lane.runs.findIndex((other) => other.run === run),
        1,
      )
      lane.endedAt = now
      return one && { depth: one.depth, tookMs }
    },
    nextDepth: () => next().runs.length + 1,
    get size() {
      return lanes.reduce((sum, { runs }) => sum + runs.length, 0)
    },
    get room() {
      return RUNS_PER_PROCESS * working()
    },
    processes: () => lanes.filter(({ runs }, place) => place < working() || runs.length > 0),
  }
}
