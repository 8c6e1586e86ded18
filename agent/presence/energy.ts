// Energy per inference: what a sensor measured beyond the idle board, shared out by processor time; where there is no sensor, the
// board's profile times processor time. It is always said which.
import type { HeartbeatMessage } from '../../broker/protocol/messages.ts'

type Joules = NonNullable<HeartbeatMessage['energy']>

/** What happened between two readings of the sensors. */
export interface Interval {
  readonly seconds: number
  /** Of the whole board, or the whole processor. */
  readonly joules: number
  /** Processor seconds that all programs used, and that there were. */
  readonly busyS: number
  readonly cpuS: number
}

export interface Energy {
  /** Joules of a run that took so much processor time; undefined when nothing is known. */
  of(cpuMs: number): Joules | undefined
  note(interval: Interval): void
  /** Joules per inference since the last call; undefined without one, or when nothing is known. */
  take(): Joules | undefined
  /** Processor time of a run lately, ms; 0 before one ended. */
  runMs(): number
}

/** Below this use of the processor the board counts as idle, and its draw is the baseline. */
const IDLE_SHARE = 0.05
/** Weight of a new idle interval: the baseline follows a fan or a screen within a minute. */
const BASELINE_WEIGHT = 0.2
/** What was measured this long ago counts half. */
const HALF_LIFE_S = 60
/** Less work than this tells nothing about its price. */
const LEAST_BUSY_S = 0.5
/** A suspended board, a clock that stood still, a counter that was reset. */
const LONGEST_S = 60
const MOST_W = 1_000
const RUN_WEIGHT = 0.1

const isPlausible = ({ seconds, joules, busyS, cpuS }: Interval): boolean =>
  seconds > 0 && seconds < LONGEST_S && joules >= 0 && joules / seconds < MOST_W && busyS >= 0 && cpuS > 0

/** Three digits: more would be a claim that no sensor here can back. */
const significant = (j: number): number => Number(j.toPrecision(3))

/** Watts that a used core adds, as measured: undefined until the board was seen idle once and at work once. */
function createMeasure() {
  let idleW: number | undefined
  let joules = 0
  let busyS = 0
  return {
    note(interval: Interval): void {
      if (!isPlausible(interval)) return
      const watts = interval.joules / interval.seconds
      if (interval.busyS / interval.cpuS < IDLE_SHARE) {
        idleW = idleW === undefined ? watts : idleW + BASELINE_WEIGHT * (watts - idleW)
        return
      }
      if (idleW === undefined) return
      const kept = 0.5 ** (interval.seconds / HALF_LIFE_S)
      joules = joules * kept + Math.max(0, interval.joules - idleW * interval.seconds)
      busyS = busyS * kept + interval.busyS
    },
    wattsPerCpu: (): number | undefined => (busyS >= LEAST_BUSY_S && joules > 0 ? joules / busyS : undefined),
  }
}

/** `profileW`: watts that a used core adds according to the board's profile. */
export function createEnergy(profileW: number | undefined): Energy {
  const measure = createMeasure()
  let sum = 0
  let runs = 0
  let measured = true
  let runMs = 0

  function priced(cpuMs: number): Joules | undefined {
    const measuredW = measure.wattsPerCpu()
    const watts = measuredW ?? profileW
    if (watts === undefined) return undefined
    return { j: (watts * cpuMs) / 1000, from: measuredW === undefined ? 'estimated' : 'measured' }
  }

  return {
    note: measure.note,
    of(cpuMs) {
      runMs = runMs === 0 ? cpuMs : runMs + RUN_WEIGHT * (cpuMs - runMs)
      const price = priced(cpuMs)
      if (price === undefined) return undefined
      sum += price.j
      runs += 1
      measured &&= price.from === 'measured'
      return { ...price, j: significant(price.j) }
    },
    take() {
      if (runs === 0) return undefined
      const mean: Joules = { j: significant(sum / runs), from: measured ? 'measured' : 'estimated' }
      sum = 0
      runs = 0
      measured = true
      return mean
    },
    runMs: () => runMs,
  }
}
