// Releases that failed a moment ago: each waits longer than the time before, and a little differently on every board.
import type { Clock } from '../clock.ts'

const RETRY_MS = { first: 5_000, longest: 10 * 60_000 } as const

export interface Holds {
  /** `advanced`: it came further than the time before, so the waiting starts anew. */
  hold(release: string, reason: string, advanced?: boolean): void
  /** Waits for nothing: try it at the next turn. */
  lift(): void
  /** The same, but not again and again: some links come and go all day. */
  reconnected(): void
  done(release: string): void
  has(release: string): boolean
  waiting(): ReadonlySet<string>
  /** Why it was not served the last time it was tried. */
  reason(release: string): string | undefined
  /** Milliseconds until one may be tried again. */
  nextMs(): number | undefined
}

interface Hold {
  readonly reason: string
  readonly failures: number
  readonly until: number
}

/** Half of it by chance. */
export const backOffMs = (failures: number, random: () => number): number =>
  Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** Math.min(failures - 1, 20)) * (0.5 + random() / 2)

export function createHolds({ elapsed, random }: { elapsed: Clock['elapsed']; random: () => number }): Holds {
  const holds = new Map<string, Hold>()
  const has = (release: string): boolean => (holds.get(release)?.until ?? 0) > elapsed()
  let reconnectedAt = Number.NEGATIVE_INFINITY

  function lift(): void {
    for (const [release, hold] of holds) holds.set(release, { ...hold, until: 0 })
  }

  return {
    hold(release, reason, advanced = false) {
      const failures = advanced ? 1 : (holds.get(release)?.failures ?? 0) + 1
      holds.set(release, { reason, failures, until: elapsed() + backOffMs(failures, random) })
    },
    lift,
    reconnected() {
      if (elapsed() - reconnectedAt < RETRY_MS.longest) return
      reconnectedAt = elapsed()
      lift()
    },
    done: (release) => void holds.delete(release),
    has,
    waiting: () => new Set([...holds.keys()].filter(has)),
    reason: (release) => holds.get(release)?.reason,
    nextMs() {
      const ends = [...holds.values()].map(({ until }) => until - elapsed()).filter((ms) => ms > 0)
      return ends.length === 0 ? undefined : Math.min(...ends)
    },
  }
}
