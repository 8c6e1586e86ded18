// A sleep that can be cut short: rung while nobody sleeps, it cuts the next one.
import type { Clock } from '../clock.ts'

export interface Bell {
  ring(): void
  /** Resolves at the ring, after `ms`, or when aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export function createBell({ after }: Pick<Clock, 'after'>): Bell {
  let rung = false
  let wake: (() => void) | undefined

  return {
    ring() {
      rung = true
      wake?.()
    },
    async wait(ms, signal) {
      if (!rung && !signal.aborted)
        await new Promise<void>((resolve) => {
          const cancel = after(ms, resolve)
          wake = () => {
            cancel()
            resolve()
          }
          signal.addEventListener('abort', wake, { once: true })
        })
      if (wake) signal.removeEventListener('abort', wake)
      wake = undefined
      rung = false
    },
  }
}

/** While frames wait, a download lets them have the processor for so long after each piece. */
const BREATH_MS = 5

export const createBreath =
  ({ isBusy, clock }: { readonly isBusy: () => boolean; readonly clock: Pick<Clock, 'after'> }) =>
  (signal: AbortSignal): Promise<void> =>
    isBusy() ? createBell(clock).wait(BREATH_MS, signal) : Promise.resolve()
