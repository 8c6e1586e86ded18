// Whether the work goes on: what the watchdog asks before each ping. A process whose event loop turns while its frames stand
// still is as dead as one that hangs.

export interface Liveness {
  /** Why the work must be called stuck, or undefined. To be asked regularly. */
  stuck(): string | undefined
}

interface Options {
  /** Frames waiting or running. */
  readonly load: () => number
  /** Frames that ended in any way, ever. */
  readonly ended: () => number
  /** The board is too hot and works on nothing on purpose. */
  readonly held: () => boolean
  /** A run may take this long. */
  readonly runLimitMs: number
  /** Milliseconds that never jump. */
  readonly elapsed: () => number
}

/** A host that has to be killed, started again and given its models back on a slow card is still on its way. */
const LEAST_MS = 180_000
/** A run, its second try, and the start between them. */
const RUNS = 5

/**
 * With frames in hand, one must end (answered, refused or dropped, all the same) within this time. A disk that takes nothing
 * and a broker that is away are no reasons: frames end all the same, and a restart cures neither.
 */
export function createLiveness({ load, ended, held, runLimitMs, elapsed }: Options): Liveness {
  const limitMs = Math.max(LEAST_MS, RUNS * runLimitMs)
  let last = { ended: ended(), at: elapsed() }
  return {
    stuck() {
      const now = { ended: ended(), at: elapsed() }
      const waiting = load()
      if (now.ended !== last.ended || waiting === 0 || held()) last = now
      const stillMs = now.at - last.at
      if (stillMs < limitMs) return undefined
      return `${waiting} frames in hand, and none has ended for ${Math.round(stillMs / 1000)} s`
    },
  }
}
