// The inference host as its callers see it: models are loaded, frames are run, and every run has an outcome.
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Runtime } from '../../broker/protocol/messages.ts'
import { type ModelPackage, nameOf } from '../catalog.ts'
import { DEFAULT_MAX_PIXELS } from './decode/limits.ts'
import { createJobs, createLoads } from './loads.ts'
import type { HostMessage, Reply, RunOutcome } from './messages.ts'
import { createQueue, type Job } from './queue.ts'
import { defaultCacheFolder, spawnHost } from './spawn.ts'
import { createSupervisor } from './supervisor.ts'
import type { InputFrame } from './tasks/prepared.ts'

export type { RunOutcome } from './messages.ts'

export class HostError extends Error {
  readonly code: 'load-failed' | 'closed'
  constructor(code: HostError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'HostError'
    this.code = code
  }
}

export interface HostStats {
  /** Processes started after the first. */
  readonly restarts: number
  readonly timeouts: number
  readonly crashes: number
  /** Of the inference process, as of its last run. */
  readonly rssMiB?: number
  readonly pid?: number
  readonly ready: boolean
}

export interface InferenceHost {
  /** Loads or reloads a model; rejects with HostError `load-failed` and the reason. */
  load(pkg: ModelPackage): Promise<void>
  /** By `id` (every version) or `id@version`. */
  unload(idOrName: string): Promise<void>
  /** Never rejects: every outcome is a value. Runs are answered in call order. */
  run(model: ModelPackage, frame: InputFrame): Promise<RunOutcome>
  runtime(): Promise<Runtime>
  stats(): HostStats
  /** What still waits is answered `busy`; the process is given 2 s. */
  close(): Promise<void>
}

export interface HostOptions {
  readonly log: Logger
  /** Milliseconds for one run, decoding included. */
  readonly limitMs?: number
  readonly loadLimitMs?: number
  readonly intraOpThreads?: number
  readonly maxPixels?: number
  /** Where compiled code is kept between starts: saves 17 MiB of memory and part of the start. */
  readonly cacheFolder?: string
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** A process that ends this often before it is ready does not start at all: whoever waits is told. */
const FAILED_STARTS = 3
const CLOSED = {
  ok: false,
  error: { code: 'busy', message: 'the inference host is closing' },
} as const satisfies RunOutcome

const sleepFor = (ms: number, signal: AbortSignal): Promise<void> => wait(ms, undefined, { signal, ref: false })

export function createHost(options: HostOptions): InferenceHost {
  const { log, limitMs = 10_000, loadLimitMs = 60_000, sleep = sleepFor } = options
  const { intraOpThreads = 1, maxPixels = DEFAULT_MAX_PIXELS, cacheFolder = defaultCacheFolder() } = options
  const ready = Promise.withResolvers<Runtime>()
  // Whoever asks for the runtime gets the rejection; nobody need ask.
  ready.promise.catch(() => {})
  let runtime: Runtime | undefined
  let rssMiB: number | undefined
  const job = createJobs()
  let isClosed = false

  const supervisor = createSupervisor({
    spawn: (mayRestart) => spawnHost({ intraOpThreads, maxPixels, mayRestart }, cacheFolder, log),
    sleep,
    log,
    received,
    ended(how, failedStarts) {
      queue.gone(how)
      if (failedStarts >= FAILED_STARTS)
        queue.endAll({ code: 'crashed', message: `the inference process does not start (${how})` })
    },
  })
  const queue = createQueue({
    send: supervisor.send,
    overLimit({ order, limitMs: limit }) {
      log.warn({ order: order.type, model: order.key, limitMs: limit }, 'inference over its limit, killed')
      supervisor.kill()
    },
  })

  const loads = createLoads({ add: queue.add, job, limitMs: loadLimitMs, log })

  function received(message: HostMessage): void {
    if (message.type === 'ready') {
      runtime = message.runtime
      ready.resolve(message.runtime)
      queue.open(loads.reloads())
      return
    }
    if (message.type === 'done') rssMiB = message.rssMiB
    if (message.type === 'loaded') runtime = message.runtime
    queue.replied(message)
  }

  return {
    async load(pkg) {
      if (isClosed) throw new HostError('closed', 'the inference host is closed')
      await loads.load(pkg).catch((error: Error) => {
        throw new HostError('load-failed', `${nameOf(pkg)} did not load: ${error.message}`, error)
      })
    },
    unload: async (idOrName) => {
      if (!isClosed) await loads.unload(idOrName)
    },
    run(model, frame) {
      if (isClosed) return Promise.resolve(CLOSED)
      return new Promise((resolve) => {
        const replied = (reply: Reply) => void (reply.type === 'done' && resolve(reply.outcome))
        const ended: Job['ended'] = (error) => resolve({ ok: false, error })
        queue.add(job({ type: 'run', key: nameOf(model), frame }, limitMs, replied, ended))
      })
    },
    runtime: async () => runtime ?? (await ready.promise),
    stats: () => ({
      restarts: supervisor.restarts,
      timeouts: queue.timeouts,
      crashes: supervisor.crashes,
      ready: supervisor.isReady,
      ...(rssMiB !== undefined && { rssMiB }),
      ...(supervisor.pid !== undefined && { pid: supervisor.pid }),
    }),
    async close() {
      isClosed = true
      ready.reject(new HostError('closed', 'the inference host was closed before it was ready'))
      queue.endAll(CLOSED.error)
      await supervisor.close()
    },
  }
}
