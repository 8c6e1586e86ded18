// Boxes with their labels over a frame, or the best labels of a classification along its foot.
import type { Prediction, ResultMessage } from '../../../broker/protocol/messages.ts'
import { placeBox, placeFrame, placeLabels, type Rect, type Size } from '../boxes.ts'
import { formatScore } from '../quantities.ts'

/** More boxes than this hide the picture they explain. */
const DRAWN_OBJECTS = 24
const DRAWN_LABELS = 3
/** Colours of the style sheet, taken by class index. */
const INKS = 6

type Objects = Extract<Prediction, { kind: 'detection' }>['objects']

const Chip = ({ rect, text }: { rect: Rect; text: string }) => (
  <>
    <rect class="chip-back" x={rect.x} y={rect.y} width={rect.width} height={rect.height} rx="3" />
    <text x={rect.x + 5} y={rect.y + 13} textLength={rect.width - 10} lengthAdjust="spacingAndGlyphs">
      {text}
    </text>
  </>
)

function Boxes({ objects, frame, view }: { objects: Objects; frame: Rect; view: Size }) {
  const boxes = objects.slice(0, DRAWN_OBJECTS).map(({ label, score, box, index }) => ({
    rect: placeBox(box, frame),
    text: `${label} ${formatScore(score)}`,
    ink: index % INKS,
  }))
  const labels = placeLabels(boxes, view)
  return (
    <svg class="boxes" width={view.width} height={view.height} aria-hidden="true">
      {boxes.map(({ rect, ink }, place) => (
        <rect
          key={place}
          class={`box ink-${ink}`}
          x={rect.x + 1}
          y={rect.y + 1}
          width={Math.max(0, rect.width - 2)}
          height={Math.max(0, rect.height - 2)}
          rx="3"
        />
      ))}
      {boxes.map(({ text, ink }, place) => {
        const rect = labels[place]
        return (
          rect && (
            <g key={place} class={`box-label ink-${ink}`}>
              <Chip rect={rect} text={text} />
            </g>
          )
        )
      })}
    </svg>
  )
}

export interface OverlayProps {
  readonly answer: ResultMessage
  readonly frame: Size
  readonly view: Size
}

export function Overlay({ answer, frame, view }: OverlayProps) {
  if ('error' in answer || view.width === 0) return null
  const { result } = answer
  if (result.kind === 'detection') return <Boxes objects={result.objects} frame={placeFrame(view, frame)} view={view} />
  if (result.kind !== 'classification') return null
  return (
    <ul class="guesses" aria-hidden="true">
      {result.labels.slice(0, DRAWN_LABELS).map(({ label, score }) => (
        <li key={label}>
          <span>{label}</span>
          <span>{formatScore(score)}</span>
          <svg class="bar" width="100%" height="3" aria-hidden="true">
            <rect class="bar-full" width={`${score * 100}%`} height="3" rx="1.5" />
          </svg>
        </li>
      ))}
    </ul>
  )
}
