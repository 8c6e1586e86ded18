// A clock that only moves when told to.
import type { Clock } from '../../agent/clock.ts'

export function createFakeClock(startAt = Date.UTC(2026, 10, 22)) {
  let at = startAt
  let due: { at: number; then: () => void }[] = []
  const plan = (delayMs: number, then: () => void): (() => void) => {
    const one = { at: at + delayMs, then }
    due.push(one)
    return () => {
      due = due.filter((other) => other !== one)
    }
  }
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  /** Runs what falls due within the next `ms`, letting promises settle in between. */
  async function advance(ms: number): Promise<void> {
    const until = at + ms
    await settled()
    for (;;) {
      const [next] = due.filter((one) => one.at <= until).sort((a, b) => a.at - b.at)
      if (next === undefined) break
      due = due.filter((one) => one !== next)
      at = Math.max(at, next.at)
      next.then()
      await settled()
    }
    at = Math.max(at, until)
  }

  /** How far the wall clock was set in all. */
  let set = 0
  const clock: Clock = { now: () => at, elapsed: () => at - set, after: plan, soon: (then) => plan(0, then) }
  return {
    clock,
    advance,
    /** Time that passes in one synchronous step, as while a disk is waited for: nothing falls due in between. */
    elapse(ms: number): void {
      at += ms
    },
    /** The wall clock is set, forwards or back; what waits goes on waiting as long as it would have. */
    set(ms: number): void {
      due = due.map((one) => ({ ...one, at: one.at + ms }))
      at += ms
      set += ms
    },
  }
}
