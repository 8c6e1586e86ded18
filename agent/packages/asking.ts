// Asks the console what this board should serve: at the start, at every connection, and every few minutes in between.
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { createBell } from './bell.ts'
import type { DesiredState } from './desired.ts'
import { PackageFault } from './fault.ts'
import { backOffMs } from './holds.ts'

const ASK_MS = 10 * 60_000
/** Boards that were started together do not ask together. */
const JITTER = 0.2

interface Options {
  readonly desired: DesiredState
  /** The console refused the credential. */
  readonly doubt: () => void
  /** It wants something else than before. */
  readonly changed: () => void
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
}

export interface Asking {
  /** Rejects with PackageFault. */
  ask(signal: AbortSignal): Promise<void>
  run(signal: AbortSignal): Promise<void>
  /** Ask at once. */
  wake(): void
}

export function createAsking({ desired, doubt, changed, clock, random, log }: Options): Asking {
  const bell = createBell(clock)
  let failures = 0

  async function ask(signal: AbortSignal): Promise<void> {
    const isNew = await desired.ask(signal)
    failures = 0
    if (!isNew) return
    log.info({ revision: desired.current()?.revision }, 'the console wants something else')
    changed()
  }

  function failed(error: unknown): void {
    if (!(error instanceof PackageFault)) throw error
    // A console that knows nothing of packages has no wishes.
    if (error.code === 'not-there') return
    if (error.code === 'forbidden') doubt()
    failures += 1
    log[failures === 1 ? 'warn' : 'debug']({ reason: error.message }, 'the console did not say what to serve')
  }

  return {
    ask,
    async run(signal) {
      while (!signal.aborted) {
        await ask(signal).catch((error: unknown) => {
          if (!signal.aborted) failed(error)
        })
        const regular = ASK_MS * (1 - JITTER + 2 * JITTER * random())
        await bell.wait(failures === 0 ? regular : backOffMs(failures, random), signal)
      }
    },
    wake() {
      failures = 0
      bell.ring()
    },
  }
}
