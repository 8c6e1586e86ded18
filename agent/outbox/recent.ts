// Row numbers seen lately, in bounded memory.

export interface Recent {
  add(seq: number, elapsedMs: number): void
  /** True for what was added within the last `spanMs`; perhaps true up to twice that. */
  has(seq: number): boolean
  clear(): void
}

export function createRecent(spanMs: number): Recent {
  let current = new Set<number>()
  let before = new Set<number>()
  let since = Number.NEGATIVE_INFINITY
  return {
    add(seq, elapsedMs) {
      if (elapsedMs - since >= spanMs) {
        before = current
        current = new Set()
        since = elapsedMs
      }
      current.add(seq)
    },
    has: (seq) => current.has(seq) || before.has(seq),
    clear() {
      current = new Set()
      before = new Set()
    },
  }
}
