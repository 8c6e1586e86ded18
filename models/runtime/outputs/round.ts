// How many digits of a score travel: the raw bytes are in the digest, people and pipelines need four.
import { RunFailure } from '../failure.ts'

/** Rounded to `digits` decimals; a model that answers NaN or infinity has failed, and JSON could not carry it. */
export function rounded(value: number, digits = 4): number {
  if (!Number.isFinite(value)) throw new RunFailure('model-failed', `the model answered ${value}`)
  const scale = 10 ** digits
  // Adding zero turns -0 into 0.
  return Math.round(value * scale) / scale + 0
}
