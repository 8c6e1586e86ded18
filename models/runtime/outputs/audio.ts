// Window probabilities of a clip to the stretches of time in which the thing was heard.
import type { Prediction } from '../../../broker/protocol/messages.ts'
import type { ManifestOf } from '../../manifest.ts'
import { rounded } from './round.ts'

type AudioPrediction = Extract<Prediction, { kind: 'audio' }>

/** One probability per window; a segment's score is the mean of its windows. */
export function hear(
  scores: readonly number[],
  { output, signal }: Pick<ManifestOf<'audio'>, 'output' | 'signal'>,
): AudioPrediction {
  const hopS = signal.hop / signal.rate
  const segments: AudioPrediction['segments'] = []
  for (let from = 0; from < scores.length; ) {
    let to = from
    while (to < scores.length && (scores[to] as number) > output.threshold) to++
    if (to > from) {
      const mean = scores.slice(from, to).reduce((sum, score) => sum + score, 0) / (to - from)
      const endS = ((to - 1) * signal.hop + signal.window) / signal.rate
      segments.push({ label: output.label, startS: rounded(from * hopS), endS: rounded(endS), score: rounded(mean) })
    }
    from = to + 1
  }
  return { kind: 'audio', windowS: hopS, windows: scores.map((score) => rounded(score)), segments }
}
