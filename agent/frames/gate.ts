// When the next run may be handed to the inference host: as many at once as keep it busy, fewer while the board is to cool.
//
// Live frames must not grow old in the host, where no newer one can take their place. Behind two others a frame waits for three
// runs. Handed in so late that it is decoded just when its process comes to it, it waits for its own, and nothing stands idle; how
// late that is has to be foreseen. For a small model, whose decoding takes as long as its run, what is foreseen is too coarse, and
// three runs are short: there frames go in as deep as tasks. Which it is depends on the board, the model and what else the cores do,
// so both are measured: frames go in deep where they are still answered within two run times.
import { RUNS_PER_PROCESS } from '../../models/runtime/host.ts'
import type { RunTimes } from '../../models/runtime/messages.ts'
import type { Clock } from '../clock.ts'
import { busySince, type Done, type Hand, type Process } from './hand.ts'
import type { Waiting } from './line.ts'
import type { Pace } from './pace.ts'

type Run = Pick<Waiting, 'kind' | 'model'>

export interface Gate {
  /** The how manyth the run is for its process. */
  began(run: Run): number
  ended(run: Run, ms?: RunTimes): void
  /** Something may be handed in now. */
  isOpen(): boolean
  /** The board takes no work at all. */
  isShut(): boolean
  /** False for a frame whose process would not come to it soon. */
  fits(item: Run): boolean
  /** Until a pause ends or a frame that did not fit will; Infinity when only the end of a run can change something. */
  waitMs(): number
}

interface Options {
  readonly clock: Pick<Clock, 'elapsed'>
  readonly pace: Pick<Pace, 'cost'>
  readonly hand: Hand<Run>
  readonly slow: () => number
}

/** From process to process. */
const WAY_MS = 3
/** A live answer is to come within so many run times; the rest is for the time that passed until it was its turn. */
const RUN_TIMES = 1.8
const WEIGHT = 0.1
/** After this long without a measurement a few frames go in deep, to see whether it pays now. */
const STALE_MS = 10_000

interface Habit {
  /** Of a run that did not go in deep. */
  decodeMs?: number
  inferMs?: number
  /** How long its process is at a run that found it idle, and at one that was decoded before. */
  loneMs?: number
  hiddenMs?: number
  /** From one end to the next while decoding is hidden. */
  spanMs?: number
  spanAt: number
}

const smooth = (before: number | undefined, sample: number): number =>
  before === undefined ? sample : before + WEIGHT * (sample - before)

/** What is known of the runs of each model. */
function createHabits(room: () => number) {
  const habits = new Map<string, Habit>()
  const of = (model: string): Habit => habits.get(model) ?? { spanAt: 0 }
  return {
    of,
    /** Whether it pays to hand its frames in deep. */
    isDeep(model: string, now: number): boolean {
      const { decodeMs, inferMs, spanMs, spanAt } = of(model)
      if (decodeMs === undefined || inferMs === undefined) return false
      return spanMs === undefined || now - spanAt > STALE_MS || room() * spanMs <= RUN_TIMES * (decodeMs + inferMs)
    },
    learn(model: string, { depth, tookMs }: Done, ms: RunTimes, spanMs: number, now: number): void {
      const habit = of(model)
      habits.set(model, habit)
      if (depth === 1) habit.loneMs = smooth(habit.loneMs, tookMs)
      else habit.hiddenMs = smooth(habit.hiddenMs, tookMs)
      if (depth === RUNS_PER_PROCESS) Object.assign(habit, { spanMs: smooth(habit.spanMs, spanMs), spanAt: now })
      else {
        habit.decodeMs = smooth(habit.decodeMs, ms.decode)
        habit.inferMs = smooth(habit.inferMs, ms.infer)
      }
    },
  }
}

export function createGate({ clock, pace, hand, slow }: Options): Gate {
  const { elapsed } = clock
  const habits = createHabits(() => hand.room)
  let lastEndAt = Number.MIN_SAFE_INTEGER
  let frameAt = Number.POSITIVE_INFINITY

  /** When a process will have done what it has in hand; never soon with more than one run. */
  function freeAt(process: Process<Run>): number {
    const [head, second] = process.runs
    if (!head) return Number.NEGATIVE_INFINITY
    if (second) return Number.POSITIVE_INFINITY
    const { loneMs, hiddenMs } = habits.of(head.run.model)
    return busySince(process) + ((head.depth === 1 ? loneMs : hiddenMs) ?? pace.cost(head.run.model))
  }

  return {
    began: (run) => hand.began(run, elapsed()),
    ended(run, ms) {
      const now = elapsed()
      const done = hand.ended(run, now)
      if (done && ms) habits.learn(run.model, done, ms, now - lastEndAt, now)
      lastEndAt = now
    },
    isOpen() {
      const ms = slow()
      if (ms === 0) return hand.size < hand.room
      // One at a time: a pause between runs is only one while nothing runs.
      return hand.size === 0 && elapsed() >= lastEndAt + ms
    },
    isShut: () => slow() === Number.POSITIVE_INFINITY,
    fits({ kind, model }) {
      const now = elapsed()
      frameAt = Number.POSITIVE_INFINITY
      if (kind === 'task' || hand.nextDepth() === 1 || habits.isDeep(model, now)) return true
      const { decodeMs = 0 } = habits.of(model)
      const at = Math.min(...hand.processes().map(freeAt)) - decodeMs - WAY_MS
      if (at > now) frameAt = at
      return at <= now
    },
    waitMs() {
      const now = elapsed()
      const pauseMs = lastEndAt + slow() - now
      if (pauseMs > 0) return pauseMs
      return frameAt > now ? frameAt - now : Number.POSITIVE_INFINITY
    },
  }
}
