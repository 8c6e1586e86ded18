// Class scores to the best labels.
import type { Prediction } from '../../../broker/protocol/messages.ts'
import type { ManifestOf } from '../../manifest.ts'
import { rounded } from './round.ts'

export const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v))

export function softmax(logits: ArrayLike<number>): Float64Array {
  let max = Number.NEGATIVE_INFINITY
  for (let i = 0; i < logits.length; i++) max = Math.max(max, logits[i] as number)
  const scores = new Float64Array(logits.length)
  let sum = 0
  for (let i = 0; i < scores.length; i++) {
    const score = Math.exp((logits[i] as number) - max)
    scores[i] = score
    sum += score
  }
  for (let i = 0; i < scores.length; i++) scores[i] = (scores[i] as number) / sum
  return scores
}

function activated(raw: ArrayLike<number>, activation: 'none' | 'softmax' | 'sigmoid'): Float64Array {
  if (activation === 'softmax') return softmax(raw)
  return Float64Array.from(raw, (v) => (activation === 'sigmoid' ? sigmoid(v) : v))
}

/** Indices of the `count` highest scores, best first, the lowest index first among equals; one pass, no sorting of all. */
function highest(scores: Float64Array, isReported: (index: number) => boolean, count: number): number[] {
  const best: number[] = []
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i] as number
    const last = best.at(-1)
    if (best.length === count && last !== undefined && score <= (scores[last] as number)) continue
    if (!isReported(i)) continue
    const at = best.findIndex((other) => (scores[other] as number) < score)
    best.splice(at < 0 ? best.length : at, 0, i)
    if (best.length > count) best.pop()
  }
  return best
}

/**
 * The `topK` best labels, best first; of equal scores the lowest index comes first (int8 logits tie often). Background
 * and null labels take part in the softmax and are not reported.
 */
export function classify(
  raw: ArrayLike<number>,
  { output, labels: { background } }: Pick<ManifestOf<'classification'>, 'output' | 'labels'>,
  labels: readonly (string | null)[],
): Prediction {
  const scores = activated(raw, output.activation)
  const best = highest(scores, (index) => labels[index] !== null && index !== background, output.topK)
  return {
    kind: 'classification',
    labels: best.map((index) => ({ label: labels[index] ?? '', index, score: rounded(scores[index] as number) })),
  }
}
