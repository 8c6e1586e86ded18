// How long something takes at most, as lately measured: mean and four times the mean deviation, as patient as a TCP sender
// (RFC 6298).

export interface Span {
  note(ms: number): void
  /** 0 before the first measurement. */
  mostMs(): number
}

const WEIGHT = 0.1

export function createSpan(): Span {
  let mean: number | undefined
  let spread = 0
  return {
    note(ms) {
      if (mean === undefined) [mean, spread] = [ms, ms / 2]
      else {
        spread += WEIGHT * (Math.abs(ms - mean) - spread)
        mean += WEIGHT * (ms - mean)
      }
    },
    mostMs: () => (mean ?? 0) + 4 * spread,
  }
}
