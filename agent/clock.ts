// Time as an argument: what waits or stamps takes a Clock, so that tests and a simulator can own it.

export interface Clock {
  /** Epoch milliseconds: for what people and other machines read. It may jump, forwards and back. */
  now(): number
  /** Milliseconds since some moment before: for durations. It never jumps. */
  elapsed(): number
  /** Calls `then` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, then: () => void): () => void
  /** Calls `then` once the events that have already arrived were handled: sooner than `after(0)`. Cancelled the same way. */
  soon(then: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(delayMs, then) {
    const timer = setTimeout(then, delayMs)
    return () => clearTimeout(timer)
  },
  soon(then) {
    const immediate = setImmediate(then)
    return () => clearImmediate(immediate)
  },
}

/** The time of day as it was at the start, and steady since: for ages that a jump of the wall clock must not change. */
export function createSteady({ now, elapsed }: Pick<Clock, 'now' | 'elapsed'>): () => number {
  const startedAt = now() - elapsed()
  return () => Math.round(startedAt + elapsed())
}
