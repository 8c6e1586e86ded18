// What an inference process takes of the board, as its answers say; and when it takes so much memory that a new one must take
// its place.
import type { Logger } from 'pino'
import { createCeiling } from './ceiling.ts'
import type { HostMessage } from './messages.ts'

export interface Usage {
  /** A new process begins. */
  started(): void
  ended(): void
  /** True when the process is to be replaced. */
  isTooLarge(message: HostMessage): boolean
  /** As of its last load or run. */
  rssMiB(): number | undefined
  /** CPU time of its runs so far. */
  cpuMs(): number
}

interface Options {
  readonly ceilingMiB: number
  /** What the ceiling may be raised to when the models need more. */
  readonly mostMiB: number
  readonly elapsed: () => number
  readonly log: Logger
}

export function createUsage({ ceilingMiB, mostMiB, elapsed, log }: Options): Usage {
  const ceiling = createCeiling({ mib: ceilingMiB, mostMiB, elapsed })
  let rssMiB: number | undefined
  let cpuMs = 0

  function judge(mib: number, isRun: boolean): boolean {
    const verdict = isRun ? ceiling.ran(mib) : ceiling.loaded(mib)
    const sizes = { rssMiB: Math.round(mib), ceilingMiB: ceiling.mib() }
    if (verdict === 'raised') log.warn(sizes, 'the models need more than the memory ceiling: it is raised')
    if (verdict === 'off') log.warn({ ...sizes, ceilingMiB }, 'the models need most of the memory: no ceiling is kept')
    if (verdict === 'over')
      log.warn(sizes, 'the inference process grew over its memory ceiling: a new one takes its place')
    return verdict === 'over'
  }

  return {
    started: ceiling.started,
    ended() {
      rssMiB = undefined
      cpuMs = 0
    },
    isTooLarge(message) {
      if (message.type !== 'loaded' && message.type !== 'done') return false
      rssMiB = message.rssMiB
      if (message.type === 'done') cpuMs += message.cpuMs
      return judge(message.rssMiB, message.type === 'done')
    },
    rssMiB: () => rssMiB,
    cpuMs: () => cpuMs,
  }
}
