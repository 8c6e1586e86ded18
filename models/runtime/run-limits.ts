// How long one run may take before its process is killed. A picture model takes the same time for every frame, so a run of a
// hundred times that is stuck; a clip or a tensor may be of any length, so for them only the general limit holds.
import type { ModelPackage } from '../catalog.ts'
import type { RunTimes } from './messages.ts'

/** Below this a busy machine or a slow card, not a stuck run, would be what is caught. */
const SHORTEST_MS = 5_000
const STUCK_FACTOR = 100
const WEIGHT = 0.1

export function createRunLimits(longestMs: number): {
  of(model: ModelPackage): number
  ran(model: ModelPackage, ms: RunTimes): void
} {
  /** By digest of the model file: smoothed milliseconds per frame. */
  const typical = new Map<string, number>()
  return {
    of({ sha256 }) {
      const ms = typical.get(sha256)
      return ms === undefined ? longestMs : Math.min(longestMs, Math.max(SHORTEST_MS, STUCK_FACTOR * ms))
    },
    ran({ sha256, manifest: { task } }, ms) {
      if (task !== 'classification' && task !== 'detection') return
      const took = ms.decode + ms.infer
      const before = typical.get(sha256) ?? took
      typical.set(sha256, before + WEIGHT * (took - before))
    },
  }
}
