// What a board answered, drawn for its kind: labels as bars, objects as a list, sound and vibration as their own pictures.
import type { Prediction, ResultMessage } from '../../../broker/protocol/messages.ts'
import { describeAnswer } from '../answers.ts'
import { formatMs, formatScore } from '../quantities.ts'
import { ERROR_WORDS } from '../words.ts'

type Kind<K extends Prediction['kind']> = Extract<Prediction, { kind: K }>

const ScoreBars = ({ scores }: { scores: readonly { label: string; score: number }[] }) => (
  <ul class="scores">
    {scores.map(({ label, score }, place) => (
      <li key={place}>
        <span class="scores-label">{label}</span>
        <svg class="bar" width="100%" height="6" aria-hidden="true">
          <rect class="bar-rest" width="100%" height="6" rx="3" />
          <rect class="bar-full" width={`${Math.min(1, Math.max(0, score)) * 100}%`} height="6" rx="3" />
        </svg>
        <span class="scores-value">{formatScore(score)}</span>
      </li>
    ))}
  </ul>
)

const WINDOW_HEIGHT = 48

/** One bar for each window of sound, tall where the model heard what it listens for. */
const Sound = ({ result }: { result: Kind<'audio'> }) => (
  <figure class="sound">
    <svg
      viewBox={`0 0 ${Math.max(1, result.windows.length)} ${WINDOW_HEIGHT}`}
      preserveAspectRatio="none"
      width="100%"
      height={WINDOW_HEIGHT}
      aria-hidden="true"
    >
      {result.windows.map((score, place) => (
        <rect
          key={place}
          class={score >= 0.5 ? 'bar-full' : 'bar-rest'}
          x={place + 0.1}
          y={WINDOW_HEIGHT - Math.max(1, score * WINDOW_HEIGHT)}
          width="0.8"
          height={Math.max(1, score * WINDOW_HEIGHT)}
        />
      ))}
    </svg>
    <figcaption>
      {result.segments.length === 0
        ? 'Nothing heard'
        : result.segments
            .map(({ label, startS, endS }) => `${label} ${startS.toFixed(1)}–${endS.toFixed(1)} s`)
            .join(', ')}
    </figcaption>
  </figure>
)

const Series = ({ result }: { result: Kind<'series'> }) => (
  <figure class="series">
    <svg class="bar" width="100%" height="10" aria-hidden="true">
      <rect class="bar-rest" width="100%" height="10" rx="3" />
      <rect
        class={result.anomaly ? 'bar-bad' : 'bar-full'}
        width={`${Math.min(100, (result.score / (result.threshold * 2)) * 100)}%`}
        height="10"
        rx="3"
      />
      <rect class="bar-mark" x="50%" width="2" height="10" />
    </svg>
    <figcaption>
      {result.anomaly ? 'Anomaly' : 'Normal'}: {result.score.toPrecision(3)}, the threshold is{' '}
      {result.threshold.toPrecision(3)}
    </figcaption>
  </figure>
)

function Drawn({ result }: { result: Prediction }) {
  switch (result.kind) {
    case 'classification':
      return <ScoreBars scores={result.labels} />
    case 'detection':
      return result.objects.length === 0 ? <p class="muted">Nothing found.</p> : <ScoreBars scores={result.objects} />
    case 'audio':
      return <Sound result={result} />
    case 'series':
      return <Series result={result} />
    case 'tensor':
      return (
        <p class="muted">
          Raw tensors: {result.outputs.map(({ name, shape }) => `${name} ${shape.join('×')}`).join(', ')}
        </p>
      )
  }
}

export const Answer = ({ answer }: { answer: ResultMessage }) =>
  'error' in answer ? (
    <div class="note tone-bad">
      <p>
        <strong>{ERROR_WORDS[answer.error.code]}.</strong> {answer.error.message}
      </p>
      {answer.error.retryAfterMs !== undefined && <p>Try again in {formatMs(answer.error.retryAfterMs)}.</p>}
    </div>
  ) : (
    <Drawn result={answer.result} />
  )

export const AnswerWords = ({ answer }: { answer: ResultMessage }) => (
  <span class={'error' in answer ? 'ink-bad' : undefined} title={'error' in answer ? answer.error.message : undefined}>
    {describeAnswer(answer)}
  </span>
)
