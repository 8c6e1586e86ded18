// When is an inference process too large? Pure. A leak in a native library must not take the board's memory; but a ceiling
// that is simply too low for the models must not replace the process for ever.

export type Verdict =
  | 'fine'
  /** Replace the process, once. */
  | 'over'
  /** The models need more than the ceiling: it is higher now. */
  | 'raised'
  /** They need more than may ever be given: the ceiling is off. */
  | 'off'

export interface Ceiling {
  /** A new process begins. */
  started(): void
  /** Resident memory after a model was loaded. */
  loaded(rssMiB: number): Verdict
  /** Resident memory after a run. */
  ran(rssMiB: number): Verdict
  mib(): number
}

interface Options {
  readonly mib: number
  /** It is never raised beyond. */
  readonly mostMiB: number
  /** Monotonic milliseconds. */
  readonly elapsed: () => number
}

/** Over within so few runs is what the models need, not a leak. */
const FIRST_RUNS = 5
const RAISE = 1.5
/** A process that is over sooner than this was replaced for little: that often in a row, and the ceiling is what is wrong. */
const SHORT_LIFE_MS = 10 * 60_000
const SHORT_LIVES = 3

export function createCeiling({ mib, mostMiB, elapsed }: Options): Ceiling {
  let ceiling = mib
  let runs = 0
  let shortLives = 0
  let startedAt = elapsed()
  let isLeaving = false

  function raise(needMiB: number): Verdict {
    ceiling = Math.max(ceiling, Math.min(RAISE * needMiB, Math.max(mib, mostMiB)))
    shortLives = 0
    if (ceiling > needMiB) return 'raised'
    ceiling = Number.POSITIVE_INFINITY
    return 'off'
  }

  function grownOver(rssMiB: number): Verdict {
    shortLives = elapsed() - startedAt < SHORT_LIFE_MS ? shortLives + 1 : 0
    // At the most there is, a leak is still worth replacing the process for.
    if (shortLives >= SHORT_LIVES && RAISE * rssMiB <= mostMiB) return raise(rssMiB)
    isLeaving = true
    return 'over'
  }

  return {
    started() {
      runs = 0
      isLeaving = false
      startedAt = elapsed()
    },
    loaded: (rssMiB) => (rssMiB <= ceiling || isLeaving ? 'fine' : raise(rssMiB)),
    ran(rssMiB) {
      runs += 1
      if (rssMiB <= ceiling || isLeaving) return 'fine'
      return runs <= FIRST_RUNS ? raise(rssMiB) : grownOver(rssMiB)
    },
    mib: () => Math.round(ceiling),
  }
}
