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
    at = until
  }

  const clock: Clock = { now: () => at, after: plan, soon: (then) => plan(0, then) }
  return {
    clock,
    advance,
    /** The wall clock is set, forwards or back; what waits goes on waiting as long as it would have. */
    set(ms: number): void {
      due = due.map((one) => ({ ...one, at: one.at + ms }))
      at += ms
    },
  }
}
