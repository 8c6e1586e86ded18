// One inference process as its owner sees it: models are loaded into it and frames are run in it; when it dies, hangs or has
// grown too large, the next one takes over where it stopped.
import type { ChildProcess } from 'node:child_process'
import type { Logger } from 'pino'
import type { Runtime } from '../../broker/protocol/messages.ts'
import { type ModelPackage, nameOf } from '../catalog.ts'
import { createJobs, createLoads } from './loads.ts'
import type { HostMessage, Loaded, Reply, RunOutcome } from './messages.ts'
import { createQueue, type Job } from './queue.ts'
import { createRunLimits } from './run-limits.ts'
import { createSupervisor, FAILED_STARTS } from './supervisor.ts'
import type { InputFrame } from './tasks/prepared.ts'
import { createUsage } from './usage.ts'

export interface ProcessStats {
  readonly pid: number
  /** As of its last load or run. */
  readonly rssMiB: number | undefined
  /** CPU time of its runs so far. */
  readonly cpuMs: number
}

export interface WorkerStats {
  /** Processes started after the first. */
  readonly restarts: number
  readonly timeouts: number
  readonly crashes: number
  /** Replaced between runs because they had grown too large. */
  readonly recycled: number
  readonly ready: boolean
  readonly process?: ProcessStats
}

export interface Worker {
  /** Rejects with the reason as message. */
  load(pkg: ModelPackage): Promise<Loaded>
  /** By `id@version`. */
  unload(name: string): Promise<void>
  /** `until`: as in the host. `moved`: it was not run here, and another process is ready for it. */
  run(model: ModelPackage, frame: InputFrame, until?: number): Promise<RunOutcome | 'moved'>
  isReady(): boolean
  /** Resolves when its first process takes orders. */
  started(): Promise<void>
  stats(): WorkerStats
  close(): Promise<void>
}

export interface WorkerOptions {
  readonly spawn: (mayRestart: boolean, isFirst: boolean) => ChildProcess
  /** Of the processes side by side. */
  readonly isFirst: boolean
  readonly log: Logger
  readonly limitMs: number
  readonly loadLimitMs: number
  readonly ceilingMiB: number
  /** What the ceiling may be raised to when the models need more. */
  readonly mostMiB: number
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  /** A process can take orders: what it runs on. */
  readonly onReady: (runtime: Runtime) => void
  /** It has ended this way before it was ready, too often to be chance. */
  readonly onNoStart: (how: string) => void
  /** A new process does not hold this model, by `id@version`, as the one before did. */
  readonly onLost: (name: string) => void
  /** What waits could be run by another process now. */
  readonly canMove: () => boolean
}

export const CLOSED = {
  ok: false,
  error: { code: 'busy', message: 'the inference host is closing' },
} as const satisfies RunOutcome

export function createWorker(options: WorkerOptions): Worker {
  const { log, loadLimitMs, sleep, onReady, onNoStart, onLost, canMove } = options
  const job = createJobs()
  const limits = createRunLimits(options.limitMs)
  const elapsed = (): number => performance.now()
  const usage = createUsage({ ...options, elapsed })
  const started = Promise.withResolvers<void>()
  let recycled = 0

  const supervisor = createSupervisor({
    spawn: (mayRestart) => options.spawn(mayRestart, options.isFirst),
    sleep,
    log,
    received,
    ended(how, failedStarts) {
      usage.ended()
      queue.gone(how)
      if (canMove()) queue.handOver()
      if (failedStarts < FAILED_STARTS) return
      queue.close({ code: 'crashed', message: `the inference process does not start (${how})` })
      onNoStart(how)
    },
  })
  const queue = createQueue({
    send: supervisor.send,
    overLimit({ order, limitMs: limit }) {
      log.warn({ order: order.type, model: order.key, limitMs: limit }, 'inference over its limit, killed')
      supervisor.kill()
    },
    drained: supervisor.recycle,
    elapsed,
  })
  const loads = createLoads({ add: queue.add, job, limitMs: loadLimitMs, log, onLost })

  function received(message: HostMessage): void {
    if (message.type === 'ready') {
      usage.started()
      queue.open(loads.reloads())
      onReady(message.runtime)
      started.resolve()
      return
    }
    queue.replied(message)
    if (usage.isTooLarge(message)) recycle()
  }

  function recycle(): void {
    recycled += 1
    queue.drain()
    if (canMove()) queue.handOver()
  }

  function run(model: ModelPackage, frame: InputFrame, until?: number): Promise<RunOutcome | 'moved'> {
    return new Promise((resolve) => {
      const replied = (reply: Reply): void => {
        if (reply.type !== 'done') return
        if (reply.outcome.ms) limits.ran(model, reply.outcome.ms)
        resolve(reply.outcome.ok ? { ...reply.outcome, cpuMs: reply.cpuMs } : reply.outcome)
      }
      const ended: Job['ended'] = (error, killed) => resolve({ ok: false, error, ...(killed && { killed }) })
      const made = job({ type: 'run', key: nameOf(model), frame }, limits.of(model), replied, ended)
      queue.add({ ...made, ...(until !== undefined && { until }), moved: () => resolve('moved') })
    })
  }

  return {
    load: loads.load,
    unload: loads.unload,
    run,
    isReady: () => supervisor.isReady && !queue.isDraining && !loads.isReloading(),
    started: () => started.promise,
    stats: () => ({
      restarts: supervisor.restarts,
      timeouts: queue.timeouts,
      crashes: supervisor.crashes,
      recycled,
      ready: supervisor.isReady,
      ...(supervisor.pid !== undefined && {
        process: { pid: supervisor.pid, rssMiB: usage.rssMiB(), cpuMs: usage.cpuMs() },
      }),
    }),
    async close() {
      queue.close(CLOSED.error)
      await supervisor.close()
    },
  }
}
