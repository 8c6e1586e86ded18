// One anomaly score for one window of a signal.
import type { Prediction } from '../../../broker/protocol/messages.ts'
import type { SeriesOutput } from '../../manifest.ts'
import { RunFailure } from '../failure.ts'
import { rounded } from './round.ts'

function squaredError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length)
    throw new RunFailure('model-failed', `the model answered ${b.length} numbers for ${a.length}`)
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += ((b[i] as number) - (a[i] as number)) ** 2
  return sum / a.length
}

/** `input` is what the model saw, `output` what it answered. */
export function judge(input: ArrayLike<number>, output: ArrayLike<number>, spec: SeriesOutput): Prediction {
  const score = rounded(spec.format === 'reconstruction' ? squaredError(input, output) : (output[0] ?? Number.NaN), 6)
  return { kind: 'series', score, threshold: spec.threshold, anomaly: score > spec.threshold }
}
