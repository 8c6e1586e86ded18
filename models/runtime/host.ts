// The inference host as its callers see it: models are loaded, frames are run, and every run has an outcome. Behind it stand
// one or several inference processes, and a memory budget that decides which models are loaded.
import type { ChildProcess } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Runtime } from '../../broker/protocol/messages.ts'
import { type ModelPackage, nameOf } from '../catalog.ts'
import { type Crew, createCrew } from './crew.ts'
import { DEFAULT_MAX_PIXELS } from './decode/limits.ts'
import { messageOf } from './failure.ts'
import { EXPIRED, inTime } from './lateness.ts'
import { defaultBudgetMiB, defaultCeilingMiB, mostMiB } from './memory.ts'
import type { Loaded, RunOutcome } from './messages.ts'
import { PROVIDERS, type ProviderName } from './providers.ts'
import { createShelf } from './shelf.ts'
import { defaultCacheFolder, spawnHost } from './spawn.ts'
import { createStart } from './start.ts'
import type { InputFrame } from './tasks/prepared.ts'
import { CLOSED, createWorker, type ProcessStats } from './worker.ts'

export { firstFree } from './balance.ts'
export type { RunOutcome } from './messages.ts'
export { RUNS_PER_PROCESS } from './queue.ts'

export class HostError extends Error {
  readonly code: 'load-failed' | 'unsupported-cpu' | 'no-start' | 'closed'
  constructor(code: HostError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'HostError'
    this.code = code
  }
}

/** The counters are sums over the processes. */
export interface HostStats {
  /** Processes started after the first of each place. */
  readonly restarts: number
  readonly timeouts: number
  readonly crashes: number
  /** Replaced between runs because they had grown too large. */
  readonly recycled: number
  /** Models taken out of memory for others, and frames that waited for one to be loaded again. */
  readonly unloads: number
  readonly waitedForLoad: number
  /** Those that run now. */
  readonly processes: readonly ProcessStats[]
  /** Resident memory of all of them, as of their last runs; absent before the first. */
  readonly rssMiB?: number
  /** One process at least takes frames. */
  readonly ready: boolean
}

export interface ProviderReport {
  /** Empty: nothing was asked for. */
  readonly wanted: readonly ProviderName[]
  /** Where models differ, the least of them. */
  readonly used: ProviderName
  /** Why a wanted one is not used, and by which models where not by all. */
  readonly reason?: string
}

export interface InferenceHost {
  /** Loads or reloads a model; rejects with HostError. */
  load(pkg: ModelPackage): Promise<void>
  /** By `id` (every version) or `id@version`. */
  unload(idOrName: string): Promise<void>
  /**
   * Never rejects: every outcome is a value. Each process answers in call order. `until`: when nobody wants the answer any more, in
   * milliseconds of `performance.now()`; what could not be begun by then is `expired`.
   */
  run(model: ModelPackage, frame: InputFrame, until?: number): Promise<RunOutcome>
  /** Rejects with HostError `unsupported-cpu` or `no-start` while no process can be started. */
  runtime(): Promise<Runtime>
  /** Resolves when a process takes orders: now, or after whatever kept it from starting is gone. */
  ready(): Promise<void>
  provider(): ProviderReport
  /** Processes that take frames now: `RUNS_PER_PROCESS` for each, handed in at once, keep them busy. */
  size(): number
  stats(): HostStats
  /** What still waits is answered `busy`; each process is given 2 s. */
  close(): Promise<void>
}

export interface HostOptions {
  readonly log: Logger
  /** Inference processes side by side, once the first one serves. */
  readonly processes?: number
  /** Milliseconds for one run, decoding included. */
  readonly limitMs?: number
  readonly loadLimitMs?: number
  /** Of the first process; every other one has one thread: a lone frame is quick, and many share the cores well. */
  readonly intraOpThreads?: number
  readonly maxPixels?: number
  /** In order of preference; absent: the best that is installed. */
  readonly providers?: readonly ProviderName[]
  readonly gpu?: number
  /** Resident memory of one process above which it is replaced, MiB. */
  readonly ceilingMiB?: number
  /** For all loaded models together, MiB; each process holds all of them. */
  readonly budgetMiB?: number
  /** Where compiled code is kept between starts: saves 17 MiB of memory and part of the start. */
  readonly cacheFolder?: string
  /** The program of the inference process. */
  readonly program?: string
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** Of a model that was never loaded: its weights, the copy laid out for the kernels, room for activations. */
const guessMiB = ({ bytes }: ModelPackage): number => (3 * bytes) / 2 ** 20

const IN_MEMORY = { ok: true } as const

const sleepFor = (ms: number, signal: AbortSignal): Promise<void> => wait(ms, undefined, { signal })

/** Signals that a program earns by what it executes: an unknown instruction, an address that is none. */
const CPU_SIGNALS: ReadonlySet<string> = new Set(['SIGILL', 'SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGABRT'])

const noStart = (how: string): HostError =>
  CPU_SIGNALS.has(how)
    ? new HostError(
        'unsupported-cpu',
        `this CPU is not supported: the inference process ended with ${how} each time it loaded ONNX Runtime (it needs a 64-bit ARMv8 or x86-64 CPU and a matching Linux)`,
      )
    : new HostError('no-start', `the inference process does not start (${how}): the lines before in this log say why`)

/** What all processes have in common. */
function workerOptions(options: HostOptions) {
  const { log, processes = 1, limitMs = 10_000, loadLimitMs = 60_000, sleep = sleepFor, program } = options
  const { intraOpThreads = 1, maxPixels = DEFAULT_MAX_PIXELS, cacheFolder = defaultCacheFolder() } = options
  const { providers = [], gpu, ceilingMiB = defaultCeilingMiB(processes) } = options
  const wish = { ...(providers.length > 0 && { providers }), ...(gpu !== undefined && { gpu }) }
  const spawn = (mayRestart: boolean, isFirst: boolean): ChildProcess => {
    const settings = { maxPixels, ...wish, intraOpThreads: isFirst ? intraOpThreads : 1, mayRestart }
    return spawnHost(settings, cacheFolder, log, program)
  }
  return { log, limitMs, loadLimitMs, sleep, ceilingMiB, mostMiB: mostMiB(processes), spawn }
}

export function createHost(options: HostOptions): InferenceHost {
  const { log, processes = 1, providers = [], budgetMiB = defaultBudgetMiB(), sleep = sleepFor } = options
  /** One entry for each call of `load`: the same package may come again while it is still being taken out. */
  const packages = new Map<string, { readonly pkg: ModelPackage }>()
  const held = new Map<string, Loaded>()
  const start = createStart()
  const elapsed = (): number => performance.now()
  let closed = false

  const shelf = createShelf({
    budgetMiB: budgetMiB / processes,
    elapsed,
    async load(name) {
      const entry = packages.get(name)
      if (entry === undefined) throw new HostError('load-failed', `${name} is not known`)
      const loaded = await crew.load(entry.pkg)
      held.set(name, loaded)
      return loaded.grewMiB
    },
    unload: (name) => crew.unload(name),
    overBudget: (model, neededMiB) =>
      log.warn({ model, neededMiB: Math.round(neededMiB), budgetMiB }, 'one model alone is over the memory budget'),
  })

  const crew: Crew = createCrew({
    processes,
    hire: (terms) =>
      createWorker({ ...workerOptions(options), ...terms, onReady: start.succeeded, onLost: shelf.lost }),
    quietly: (work) => shelf.quietly((names) => work(names.flatMap((name) => packages.get(name)?.pkg ?? []))),
    onNoStart: (how) => start.failed(noStart(how)),
    sleep,
    log,
  })

  /** Unless another call of `load` has put its own there. */
  function forget(name: string, entry: { readonly pkg: ModelPackage } | undefined): void {
    if (packages.get(name) === entry) packages.delete(name)
  }

  async function run(model: ModelPackage, frame: InputFrame, until?: number): Promise<RunOutcome> {
    const name = nameOf(model)
    const waits = shelf.hold(name)
    const leftMs = (until ?? Number.POSITIVE_INFINITY) - elapsed()
    const got = waits === undefined ? IN_MEMORY : await inTime(waits, leftMs, ({ ok }) => ok && shelf.release(name))
    if (closed) return CLOSED
    if (!got) return { ok: false, error: EXPIRED }
    if (!got.ok) return { ok: false, error: { code: 'unknown-model', message: `${name}: ${got.reason}` } }
    const outcome = await crew.run(model, frame, until)
    shelf.release(name)
    return outcome
  }

  return {
    async load(pkg) {
      if (closed) throw new HostError('closed', 'the inference host is closed')
      if (start.fault()) throw start.fault()
      const name = nameOf(pkg)
      const entry = { pkg }
      packages.set(name, entry)
      await shelf.put(name, guessMiB(pkg)).catch((error: unknown) => {
        forget(name, entry)
        throw start.fault() ?? new HostError('load-failed', `${name} did not load: ${messageOf(error)}`, error)
      })
    },
    async unload(idOrName) {
      const names = shelf.names().filter((name) => name === idOrName || name.startsWith(`${idOrName}@`))
      for (const name of closed ? [] : names) {
        const entry = packages.get(name)
        await shelf.remove(name)
        forget(name, entry)
        held.delete(name)
      }
    },
    run: (model, frame, until) => (closed ? Promise.resolve(CLOSED) : run(model, frame, until)),
    runtime: async () => ({ ...(await start.runtime()), provider: reportOn(providers, held).used }),
    ready: start.ready,
    provider: () => reportOn(providers, held),
    size: crew.size,
    stats() {
      const { processes: running, ...counters } = crew.stats()
      const sizes = running.flatMap(({ rssMiB }) => rssMiB ?? [])
      const rssMiB = sizes.reduce((sum, mib) => sum + mib, 0)
      return { ...counters, ...shelf.stats(), processes: running, ...(sizes.length > 0 && { rssMiB }) }
    },
    async close() {
      closed = true
      start.close(new HostError('closed', 'the inference host was closed before it was ready'))
      await crew.close()
    },
  }
}

/** One model that fell back is what the owner must hear of. */
function reportOn(wanted: readonly ProviderName[], held: ReadonlyMap<string, Loaded>): ProviderReport {
  const rank = ({ provider }: Loaded): number => PROVIDERS.indexOf(provider)
  const models = [...held]
  const least = models.reduce<Loaded | undefined>(
    (worst, [, one]) => (worst === undefined || rank(one) > rank(worst) ? one : worst),
    undefined,
  )
  const reasons = Map.groupBy(models, ([, { passedOver }]) => passedOver)
  reasons.delete(undefined)
  const said = [...reasons].map(([reason, these]) =>
    these.length === models.length ? reason : `${these.map(([name]) => name).join(', ')}: ${reason}`,
  )
  return { wanted, used: least?.provider ?? 'cpu', ...(said.length > 0 && { reason: said.join('; ') }) }
}
