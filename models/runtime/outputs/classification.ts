// Class scores to the best labels.
import type { Prediction } from '../../../broker/protocol/messages.ts'
import type { ManifestOf } from '../../manifest.ts'
import { rounded } from './round.ts'

export const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v))

export function softmax(logits: ArrayLike<number>): Float64Array {
  let max = Number.NEGATIVE_INFINITY
  for (let i = 0; i < logits.length; i++) max = Math.max(max, logits[i] as number)
  const scores = Float64Array.from(logits, (v) => Math.exp(v - max))
  const sum = scores.reduce((total, v) => total + v, 0)
  return scores.map((v) => v / sum)
}

function activated(raw: ArrayLike<number>, activation: 'none' | 'softmax' | 'sigmoid'): Float64Array {
  if (activation === 'softmax') return softmax(raw)
  return Float64Array.from(raw, (v) => (activation === 'sigmoid' ? sigmoid(v) : v))
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
  const named = labels.flatMap((label, index) =>
    label === null || index === background ? [] : [{ label, index, score: scores[index] as number }],
  )
  named.sort((a, b) => b.score - a.score || a.index - b.index)
  return {
    kind: 'classification',
    labels: named.slice(0, output.topK).map((entry) => ({ ...entry, score: rounded(entry.score) })),
  }
}
