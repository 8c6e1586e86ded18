// How long a frame takes on this board, as lately measured: what `retryAfterMs` is computed from.

export interface Pace {
  /** A run that began then has ended now. */
  ended(startedAt: number, now: number): void
  /** Milliseconds per frame. */
  ms(): number
}

/** Before anything was measured: a small model on a small board. */
const FIRST_MS = 100
/** Weight of the newest sample. */
const WEIGHT = 0.2

export function createPace(): Pace {
  let ms = FIRST_MS
  let lastEndAt = 0
  return {
    // Runs overlap, so what one costs is the time since the last one ended, or its own where nothing was before it.
    ended(startedAt, now) {
      const sample = Math.max(0, now - Math.max(startedAt, lastEndAt))
      ms += WEIGHT * (sample - ms)
      lastEndAt = now
    },
    ms: () => ms,
  }
}
