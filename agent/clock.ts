// Time as an argument: what waits or stamps takes a Clock, so that tests and a simulator can own it.

export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Calls `then` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, then: () => void): () => void
  /** Calls `then` once the events that have already arrived were handled: sooner than `after(0)`. Cancelled the same way. */
  soon(then: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, then) {
    const timer = setTimeout(then, delayMs)
    return () => clearTimeout(timer)
  },
  soon(then) {
    const immediate = setImmediate(then)
    return () => clearImmediate(immediate)
  },
}
