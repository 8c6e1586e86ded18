// A model over which the inference process dies each time takes all others with it, because every new process has to load them all.
// After some deaths in a row, without one run of it that ended, it rests, each time for longer; then its next frame shows.
import type { ResultError } from '../../broker/protocol/messages.ts'

export interface Rests {
  /** Why it is not run now. */
  of(model: string): ResultError | undefined
  /** A run of it ended without killing the process. */
  ended(model: string): void
  /** The process died over a run of it. */
  died(model: string): void
}

const DEATHS = 10
const REST_MS = { first: 10_000, longest: 10 * 60_000 } as const

/** Models by the digest of their file. */
export function createRests(elapsed: () => number): Rests {
  const dying = new Map<string, { count: number; until: number }>()
  return {
    of(model) {
      const { count = 0, until = 0 } = dying.get(model) ?? {}
      const retryAfterMs = Math.ceil(until - elapsed())
      if (retryAfterMs <= 0) return undefined
      const message = `the inference process died over each of the last ${count} runs of this model: it is tried again later`
      return { code: 'model-failed', message, retryAfterMs }
    },
    ended: (model) => void dying.delete(model),
    died(model) {
      const count = (dying.get(model)?.count ?? 0) + 1
      const restMs = Math.min(REST_MS.longest, REST_MS.first * 2 ** Math.min(count - DEATHS, 20))
      dying.set(model, { count, until: count < DEATHS ? 0 : elapsed() + restMs })
    },
  }
}
