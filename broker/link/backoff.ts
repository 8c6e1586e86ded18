// How long to wait before connecting again: full jitter, so that a thousand boards do not return in the same second.

export interface BackoffRange {
  readonly firstMs: number
  readonly longestMs: number
}

/** Milliseconds to wait after `failures` attempts in a row (0 = the first); `random` is in [0, 1). */
export const backoffMs = (failures: number, { firstMs, longestMs }: BackoffRange, random: () => number): number =>
  Math.round(random() * Math.min(longestMs, firstMs * 2 ** Math.min(failures, 30)))
