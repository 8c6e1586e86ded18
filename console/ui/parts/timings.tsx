// Where a frame's time went: waiting on the board, decoding, in the model.
import { formatMs } from '../quantities.ts'

export interface Timing {
  readonly queue: number
  readonly decode: number
  readonly infer: number
}

const STEPS = ['queue', 'decode', 'infer'] as const

export function TimingBar({ ms, legend }: { ms: Timing; legend?: boolean }) {
  const total = Math.max(0.001, ms.queue + ms.decode + ms.infer)
  const said = STEPS.map((step) => `${step} ${formatMs(ms[step])}`).join(' · ')
  let start = 0
  return (
    <div class="timing" title={said}>
      <svg class="bar" width="100%" height="6" role="img" aria-label={said}>
        {STEPS.map((step) => {
          const x = (start / total) * 100
          start += ms[step]
          return (
            <rect key={step} class={`step-${step}`} x={`${x}%`} width={`${(ms[step] / total) * 100}%`} height="6" />
          )
        })}
      </svg>
      {legend ? (
        <ul class="timing-legend">
          {STEPS.map((step) => (
            <li key={step} class={`key-${step}`}>
              {step} {formatMs(ms[step])}
            </li>
          ))}
        </ul>
      ) : (
        <span class="timing-total">{formatMs(total)}</span>
      )}
    </div>
  )
}
