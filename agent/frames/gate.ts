// When the next run may be handed to the inference host: as many at once as keep it busy, fewer while the board is to cool.
//
// Live frames must not grow old in the host, where no newer one can take their place. Behind two others a frame is decoded
// while the one before it runs, and waits for three runs; alone it waits for its own, but nothing is done at the same time.
// Which is better depends on the board, the model and what else the cores do, so both are measured: frames go in as deep as
// tasks where they are still answered within two run times, else just before the process is free.
import type { RunTimes } from '../../models/runtime/messages.ts'
import type { Clock } from '../clock.ts'
import type { Waiting } from './line.ts'
import type { Pace } from './pace.ts'

type Run = Pick<Waiting, 'kind' | 'model'>

export interface Gate {
  began(run: Run): void
  ended(run: Run, ms?: RunTimes): void
  running(): number
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
  /** Of the host: three for each process, the run, the one that is decoded, and one on its way. */
  readonly window: () => number
  readonly slow: () => number
}

export const PER_PROCESS = 3
/** From process to process. */
const WAY_MS = 3
/** A live answer is to come within so many run times; the rest is for the time that passed until it was its turn. */
const RUN_TIMES = 1.8
const WEIGHT = 0.1
/** After this long without a measurement a few frames go in deep, to see whether it pays now. */
const STALE_MS = 10_000

interface Habit {
  /** Decoding and running, one after the other. */
  runMs?: number
  /** From one end to the next while decoding is hidden. */
  spanMs?: number
  spanAt: number
}

const smooth = (before: number | undefined, sample: number): number =>
  before === undefined ? sample : before + WEIGHT * (sample - before)

/** Whether it pays to hand frames of a model in deep. */
function createHabits(window: () => number) {
  const habits = new Map<string, Habit>()
  return {
    isDeep(model: string, now: number): boolean {
      const { runMs, spanMs, spanAt } = habits.get(model) ?? { spanAt: 0 }
      if (runMs === undefined) return false
      return spanMs === undefined || now - spanAt > STALE_MS || window() * spanMs <= RUN_TIMES * runMs
    },
    /** Expected length of a run whose decoding was hidden, or was not. */
    lengthMs: (model: string, isDeep: boolean): number | undefined => habits.get(model)?.[isDeep ? 'spanMs' : 'runMs'],
    learn(model: string, wasDeep: boolean, ms: RunTimes, spanMs: number, now: number): void {
      const habit = habits.get(model) ?? { spanAt: 0 }
      habits.set(model, habit)
      if (!wasDeep) habit.runMs = smooth(habit.runMs, ms.decode + ms.infer)
      else Object.assign(habit, { spanMs: smooth(habit.spanMs, spanMs), spanAt: now })
    },
  }
}

export function createGate({ clock, pace, window, slow }: Options): Gate {
  const { elapsed } = clock
  const habits = createHabits(window)
  /** Since when and behind how many others, oldest first. */
  const runs = new Map<Run, { readonly at: number; readonly behind: number }>()
  let lastEndAt = Number.MIN_SAFE_INTEGER
  let frameAt = Number.POSITIVE_INFINITY

  const processes = (): number => Math.max(1, Math.round(window() / PER_PROCESS))

  /** When a process will be free to run what is handed in next: known well for one process, else at the earliest. */
  function freeAt(): number {
    const [oldest] = runs
    if (!oldest) return 0
    const [{ model }, { at, behind }] = oldest
    const lengthMs = habits.lengthMs(model, behind >= 2 * processes()) ?? pace.cost(model)
    return (processes() === 1 ? Math.max(at, lastEndAt) : at) + lengthMs
  }

  return {
    began(run) {
      runs.set(run, { at: elapsed(), behind: runs.size })
    },
    ended(run, ms) {
      const now = elapsed()
      const wasDeep = (runs.get(run)?.behind ?? 0) >= 2 * processes()
      if (ms) habits.learn(run.model, wasDeep, ms, now - lastEndAt, now)
      runs.delete(run)
      lastEndAt = now
    },
    running: () => runs.size,
    isOpen() {
      const ms = slow()
      if (ms === 0) return runs.size < window()
      // One at a time: a pause between runs is only one while nothing runs.
      return runs.size === 0 && elapsed() >= lastEndAt + ms
    },
    isShut: () => slow() === Number.POSITIVE_INFINITY,
    fits({ kind, model }) {
      const now = elapsed()
      frameAt = Number.POSITIVE_INFINITY
      if (kind === 'task' || runs.size < processes() || habits.isDeep(model, now)) return true
      if (runs.size >= 2 * processes()) return false
      const at = freeAt() - WAY_MS
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
