// Which ways of using the cores are tried, and which one wins. Pure.
import type { Cores } from '../choice.ts'
import type { Measured } from './measuring.ts'

/** A process more must be worth its memory. */
const WORTH_IT = 1.05
/** More processes than this hold so many copies of the models that nothing is left for the models. */
const MOST_PROCESSES = 4

const upTo = (most: number, ...numbers: readonly number[]): number[] =>
  [...new Set(numbers)].filter((n) => n >= 1 && n <= most).sort((a, b) => a - b)

/** One process with 1, 2, 4… threads; several, whose first one has one thread, those that the others leave, or one per core. */
export function waysOf(cores: number): Cores[] {
  return upTo(Math.min(MOST_PROCESSES, cores), 1, 2, cores - 1, cores).flatMap((processes) => {
    const threads =
      processes === 1 ? upTo(cores, 1, 2, 4, cores - 1, cores) : upTo(cores, 1, cores - processes + 1, cores)
    return threads.map((n) => ({ processes, threads: n }))
  })
}

/**
 * The most frames; a lone frame's time counts half as much. Over all models, each one's best way being 1: the geometric mean, so
 * that no model counts for more because it is quick. More processes only for more than a trifle.
 */
export function bestOf(measured: readonly Measured[]): Cores {
  const byModel = [...Map.groupBy(measured, ({ model }) => model).values()]
  const scores = new Map<string, { cores: Cores; logs: number[] }>()
  for (const rows of byModel) {
    const most = Math.max(...rows.map(({ framesPerS }) => framesPerS))
    const least = Math.min(...rows.map(({ p50Ms }) => p50Ms))
    for (const { processes, threads, framesPerS, p50Ms } of rows) {
      const key = `${processes}×${threads}`
      const entry = scores.get(key) ?? { cores: { processes, threads }, logs: [] }
      entry.logs.push(Math.log(framesPerS / most) + Math.log(least / p50Ms) / 2)
      scores.set(key, entry)
    }
  }
  const ways = [...scores.values()]
    // A way that failed with one of the models is none.
    .filter(({ logs }) => logs.length === byModel.length)
    .map(({ cores, logs }) => ({ cores, score: Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length) }))
    .sort((a, b) => a.cores.processes - b.cores.processes)
  const [first, ...rest] = ways
  if (!first) return { processes: 1, threads: 1 }
  return rest.reduce((chosen, one) => {
    const price = one.cores.processes > chosen.cores.processes ? WORTH_IT : 1
    return one.score > chosen.score * price ? one : chosen
  }, first).cores
}
