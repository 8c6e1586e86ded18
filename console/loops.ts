// The one shape of what runs for ever: a turn, a pause, and a longer pause after a fault; it ends with the signal.
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'

export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>

/** Ends early, and quietly, when the signal does. */
export const sleepFor: Sleep = (ms, signal) =>
  wait(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })

export interface Loop {
  readonly name: string
  readonly everyMs: number
  /** Before the first turn; at once when absent. */
  readonly firstMs?: number
  readonly turn: () => Promise<void> | void
}

const LONGEST_PAUSE_MS = 30_000

/** Resolves when `signal` ends it; the turn under way is finished first. */
export async function runLoop(loop: Loop, { signal, sleep, log }: { signal: AbortSignal; sleep: Sleep; log: Logger }) {
  let failures = 0
  if (loop.firstMs !== undefined) await sleep(loop.firstMs, signal)
  while (!signal.aborted) {
    try {
      await loop.turn()
      failures = 0
    } catch (error) {
      failures += 1
      log.error({ err: error, loop: loop.name, failures }, 'a turn failed and will be tried again')
    }
    const pause = failures === 0 ? loop.everyMs : Math.min(LONGEST_PAUSE_MS, loop.everyMs + 250 * 2 ** failures)
    await sleep(pause, signal)
  }
}
