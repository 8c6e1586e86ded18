// Limits a log by cause: what says the same thing again and again is written a few times a minute and then only counted, so
// that a fault that repeats itself neither fills a card nor pushes everything else out of the last 500 lines.

export interface Causes {
  /** Whether a line that says `cause` may be written now. */
  may(cause: string): boolean
  /** Ends the minute now. */
  flush(): void
}

interface Options {
  /** Milliseconds that never jump. */
  readonly elapsed: () => number
  readonly after: (delayMs: number, then: () => void) => () => void
  /** Says how many more there were. */
  readonly tell: (cause: string, more: number) => void
}

/** Lines of one cause in one minute. */
export const LINES_PER_CAUSE = 10
const MINUTE_MS = 60_000
/** Messages with something variable in them would each be a cause of their own: beyond this many they share one. */
const MAX_CAUSES = 200
const OTHERS = 'other messages'

export function createCauses({ elapsed, after, tell }: Options): Causes {
  const counts = new Map<string, number>()
  let since = Number.NEGATIVE_INFINITY
  let stop: (() => void) | undefined

  function flush(): void {
    stop?.()
    stop = undefined
    const over = [...counts].filter(([, count]) => count > LINES_PER_CAUSE)
    counts.clear()
    for (const [cause, count] of over) tell(cause, count - LINES_PER_CAUSE)
  }

  return {
    flush,
    may(cause) {
      const at = elapsed()
      if (at - since >= MINUTE_MS) {
        flush()
        since = at
      }
      const key = counts.has(cause) || counts.size < MAX_CAUSES ? cause : OTHERS
      const count = (counts.get(key) ?? 0) + 1
      counts.set(key, count)
      // Nothing else may be logged for hours: the count is told at the end of the minute all the same.
      if (count > LINES_PER_CAUSE) stop ??= after(since + MINUTE_MS - at, flush)
      return count <= LINES_PER_CAUSE
    },
  }
}
