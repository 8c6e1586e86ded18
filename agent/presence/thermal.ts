// Keeps the board from throttling: it pauses between runs when the processor gets warm and stops near what is dangerous, early
// enough that the board's own protection has nothing to do. `plan` decides purely; the rest measures and tells.
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Trip } from './zones.ts'

export interface Limits {
  /** From here on it slows. */
  readonly slowAtC: number
  /** Here the board would slow itself: by then the longest pauses are on. */
  readonly throttleAtC: number
  readonly pauseAtC: number
}

/** Raspberry Pi's firmware throttles from 80 °C and says so in no trip point. */
const PI_THROTTLES_C = 80
/** Where nothing is known: cautious on a board, as late as PC processors on x86. */
const UNKNOWN_C = { x64: 95, board: 80 } as const
/** A passive trip below is about a case that is touched or a fan, not about the chip. */
const LOWEST_C = 60
const BELOW_THROTTLE_C = 5
const BELOW_CRITICAL_C = 5
const ABOVE_THROTTLE_C = 10

const lowest = (trips: readonly Trip[], type: string): number | undefined =>
  trips
    .filter((trip) => trip.type === type && trip.c >= LOWEST_C)
    .map(({ c }) => c)
    .sort((a, b) => a - b)[0]

export function limitsOf(trips: readonly Trip[], board: { readonly model: string; readonly arch: string }): Limits {
  const critical = lowest(trips, 'critical')
  const throttleAtC = board.model.includes('Raspberry Pi')
    ? PI_THROTTLES_C
    : (lowest(trips, 'passive') ?? (board.arch === 'x64' ? UNKNOWN_C.x64 : UNKNOWN_C.board))
  const dangerous = critical === undefined ? Number.POSITIVE_INFINITY : critical - BELOW_CRITICAL_C
  return {
    slowAtC: throttleAtC - BELOW_THROTTLE_C,
    throttleAtC,
    pauseAtC: Math.max(throttleAtC, Math.min(throttleAtC + ABOVE_THROTTLE_C, dangerous)),
  }
}

export interface Heat {
  /** How much it slows: an index of PAUSES. */
  readonly level: number
  readonly paused: boolean
  /** Of the last change of level, and what was measured then and last. */
  readonly at: number
  readonly c: number
}

export const COOL: Heat = { level: 0, paused: false, at: Number.NEGATIVE_INFINITY, c: Number.NEGATIVE_INFINITY }

/** Pauses between runs in lengths of a run: 80 %, 67 %, 50 %, 33 %, 20 % of the work. */
const PAUSES = [0, 0.25, 0.5, 1, 2, 4] as const
const TOP = PAUSES.length - 1
/** It goes faster again only after it has cooled by this much: no flapping around one degree. */
const HYSTERESIS_C = 5
/** A heat sink answers slowly: what a step does shows after this long. */
const STEP_UP_MS = 15_000
const STEP_DOWN_MS = 60_000
/** The last step, back to full speed, waits longer: it is the one that is told, and a small board may heat up at once again. */
const LAST_STEP_MS = 5 * 60_000

/** The next state. `at` is monotonic, in ms. A board without a sensor, or whose sensor is gone, is never slowed. */
export function plan(
  reading: { readonly c: number | undefined; readonly at: number },
  limits: Limits,
  heat: Heat,
): Heat {
  const { c, at } = reading
  if (c === undefined) return COOL
  if (c >= limits.pauseAtC) return heat.paused ? { ...heat, c } : { level: TOP, paused: true, at, c }
  if (c < limits.slowAtC - HYSTERESIS_C) {
    if (heat.paused) return { level: TOP, paused: false, at, c }
    const rest = heat.level === 1 ? LAST_STEP_MS : STEP_DOWN_MS
    return heat.level > 0 && at - heat.at >= rest ? { ...heat, level: heat.level - 1, at, c } : { ...heat, c }
  }
  const level = Math.max(heat.level, neededAt(c, limits), isRising(reading, limits, heat) ? heat.level + 1 : 0)
  return level > heat.level ? { ...heat, level: Math.min(TOP, level), at, c } : { ...heat, c }
}

/** At the very least: none below the limit, all of it where the board would throttle. */
function neededAt(c: number, { slowAtC, throttleAtC }: Limits): number {
  if (c < slowAtC) return 0
  return Math.min(TOP, 1 + Math.floor(((c - slowAtC) / (throttleAtC - slowAtC)) * (TOP - 1)))
}

const isRising = ({ c = 0, at }: { readonly c: number | undefined; readonly at: number }, limits: Limits, heat: Heat) =>
  c >= limits.slowAtC && c >= heat.c && at - heat.at >= STEP_UP_MS

export type HeatState = 'normal' | 'slowed' | 'paused'

export const stateOf = ({ level, paused }: Heat): HeatState => (paused ? 'paused' : level > 0 ? 'slowed' : 'normal')

export interface Thermal {
  /** Milliseconds of pause between runs; Infinity: no work until it has cooled down. */
  slow(): number
  state(): HeatState
  close(): void
}

interface Options {
  readonly limits: Limits
  readonly read: () => Promise<number | undefined>
  /** How long a run takes on this board, ms; 0 before one ended. */
  readonly runMs: () => number
  readonly clock: Pick<Clock, 'elapsed' | 'after'>
  readonly changed: (state: HeatState) => void
  readonly log: Logger
}

/** Small boards without a heat sink warm by about a degree a second. */
const LOOK_MS = 3_000
const UNKNOWN_RUN_MS = 100

const WORDS: Readonly<Record<HeatState, string>> = {
  normal: 'cooled down: back to full speed',
  slowed: 'getting hot: slower, so that the board need not throttle; give it a heat sink, a fan or more air',
  paused: 'too hot: no work until it has cooled down; give it a heat sink, a fan or more air',
}

export function createThermal({ limits, read, runMs, clock, changed, log }: Options): Thermal {
  let heat = COOL
  let stop: (() => void) | undefined
  let closed = false

  async function look(): Promise<void> {
    const c = await read()
    if (closed) return
    const before = stateOf(heat)
    heat = plan({ c, at: clock.elapsed() }, limits, heat)
    const state = stateOf(heat)
    stop = clock.after(LOOK_MS, () => void look())
    if (state === before) return
    log[state === 'normal' ? 'info' : 'warn']({ tempC: c, ...limits }, WORDS[state])
    changed(state)
  }
  void look()

  return {
    slow: () => (heat.paused ? Number.POSITIVE_INFINITY : (PAUSES[heat.level] ?? 0) * (runMs() || UNKNOWN_RUN_MS)),
    state: () => stateOf(heat),
    close() {
      closed = true
      stop?.()
    },
  }
}
