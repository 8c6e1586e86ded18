// The inference processes side by side: the first one does what comes, and the others join it once it serves. A frame goes to
// the least busy of those that are ready; what waits for a process that went away is run by another.
import type { Logger } from 'pino'
import type { ModelPackage } from '../catalog.ts'
import { createBalance } from './balance.ts'
import { messageOf } from './failure.ts'
import type { Loaded, RunOutcome } from './messages.ts'
import type { InputFrame } from './tasks/prepared.ts'
import { CLOSED, type ProcessStats, type Worker, type WorkerStats } from './worker.ts'

export interface Crew {
  /** Into every process that works. Rejects with the reason of the first; another one that fails is let go. */
  load(pkg: ModelPackage): Promise<Loaded>
  unload(name: string): Promise<void>
  /** `until`: as in the host. */
  run(model: ModelPackage, frame: InputFrame, until?: number): Promise<RunOutcome>
  /** Processes that take frames now. */
  size(): number
  /** The counters are sums; `processes` are those that run now. */
  stats(): Omit<WorkerStats, 'process'> & { readonly processes: readonly ProcessStats[] }
  close(): Promise<void>
}

interface Options {
  readonly processes: number
  /** `canMove`: what waits for this process could be run by another one now. */
  readonly hire: (terms: {
    readonly isFirst: boolean
    readonly onNoStart: (how: string) => void
    readonly canMove: () => boolean
  }) => Worker
  /** Nothing is loaded or unloaded while `work` runs; it is given what is in memory. */
  readonly quietly: (work: (inMemory: readonly ModelPackage[]) => Promise<void>) => Promise<void>
  readonly onNoStart: (how: string) => void
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly log: Logger
}

/** When a process that could not join is tried again: what it lacked was memory, most likely. */
const HIRE_AGAIN_MS = 10 * 60_000

interface Member {
  readonly worker: Worker
  /** Ends its time here; another is hired for its place later. */
  leave(reason: unknown): void
}

export function createCrew({ processes, hire, quietly, onNoStart, sleep, log }: Options): Crew {
  const closing = new AbortController()
  /** By place, the first apart. */
  const others = new Map<number, Member>()
  /** Those that hold every model that is in memory. */
  const working = new Set<Worker>()
  const left: WorkerStats[] = []
  let isGrowing = false

  const canMove = (from: () => Worker | undefined) => (): boolean =>
    [...working].some((worker) => worker !== from() && worker.isReady())

  const first: Worker = hire({ isFirst: true, onNoStart, canMove: canMove(() => first) })
  working.add(first)

  /** Resolves when it holds what the others hold, rejects where it cannot. */
  async function join({ worker }: Member, noStart: Promise<never>): Promise<void> {
    await Promise.race([worker.started(), noStart])
    await quietly(async (inMemory) => {
      for (const pkg of inMemory) await worker.load(pkg)
      working.add(worker)
    })
  }

  /** Somebody is in this place until the end: after one that could not stay comes another, later. */
  async function keepPlace(place: number): Promise<void> {
    while (!closing.signal.aborted) {
      const gone = Promise.withResolvers<never>()
      const onNoStart = (how: string): void => gone.reject(new Error(`it does not start (${how})`))
      const worker: Worker = hire({ isFirst: false, onNoStart, canMove: canMove(() => worker) })
      others.set(place, { worker, leave: gone.reject })
      await Promise.all([join({ worker, leave: gone.reject }, gone.promise), gone.promise]).catch(async (error) => {
        log.warn({ reason: messageOf(error) }, 'one of several inference processes cannot work: the others go on')
        working.delete(worker)
        others.delete(place)
        left.splice(0, left.length, sumOf([...left, { ...worker.stats(), ready: false }]))
        await worker.close()
        await sleep(HIRE_AGAIN_MS, closing.signal).catch(() => {})
      })
    }
  }

  /** After the first model: until the board serves, the first process needs the cores for itself. */
  function grow(): void {
    if (isGrowing) return
    isGrowing = true
    for (let place = 1; place < processes; place += 1) void keepPlace(place)
  }

  const ready = (): Worker[] => [...working].filter((worker) => worker.isReady())

  const balance = createBalance(() => (ready().length > 0 ? ready() : [first]))

  return {
    async load(pkg) {
      const also = [...others.values()].filter(({ worker }) => working.has(worker))
      const [loaded] = await Promise.all([
        first.load(pkg),
        ...also.map(({ worker, leave }) => worker.load(pkg).then(() => {}, leave)),
      ])
      grow()
      return loaded
    },
    unload: async (name) => void (await Promise.all([...working].map((worker) => worker.unload(name)))),
    async run(model, frame, until) {
      while (!closing.signal.aborted) {
        const outcome = await balance.run(model, frame, until)
        if (outcome !== 'moved') return outcome
      }
      return CLOSED
    },
    size: () => ready().length,
    stats() {
      const now = [first, ...[...others.values()].map(({ worker }) => worker)].map((worker) => worker.stats())
      return { ...sumOf([...left, ...now]), processes: now.flatMap(({ process }) => (process ? [process] : [])) }
    },
    async close() {
      closing.abort()
      await Promise.all([first, ...[...others.values()].map(({ worker }) => worker)].map((worker) => worker.close()))
    },
  }
}

function sumOf(stats: readonly WorkerStats[]): WorkerStats {
  const add = (pick: (one: WorkerStats) => number): number => stats.reduce((total, one) => total + pick(one), 0)
  return {
    restarts: add(({ restarts }) => restarts),
    timeouts: add(({ timeouts }) => timeouts),
    crashes: add(({ crashes }) => crashes),
    recycled: add(({ recycled }) => recycled),
    ready: stats.some(({ ready }) => ready),
  }
}
