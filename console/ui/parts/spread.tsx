// How far a version has spread over the boards: one bar, a part of it for each kind of place.
import type { ModelPlace } from '../../routes/shapes.ts'
import { PLACE_WORDS, type Tone } from '../words.ts'

/** From what is done to what is not; places of one colour stand together. */
const ORDER: readonly Tone[] = ['ok', 'busy', 'calm', 'warn', 'bad']

/** A download counts for what has come of it, so that the bar moves. */
const doneOf = ({ state, percent }: ModelPlace): number =>
  state === 'serving' ? 1 : state === 'downloading' ? (percent ?? 0) / 100 : 0

export function Spread({ places }: { places: readonly ModelPlace[] }) {
  const states = places.flatMap(({ state }) => state ?? [])
  if (states.length === 0) return null
  const percent = Math.floor((100 * places.reduce((sum, place) => sum + doneOf(place), 0)) / states.length)
  let start = 0
  return (
    <svg
      class="bar spread"
      width="100%"
      height="8"
      role="progressbar"
      aria-label="Boards that serve it"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
    >
      {ORDER.map((tone) => {
        const share = states.filter((state) => PLACE_WORDS[state].tone === tone).length / states.length
        const x = start * 100
        start += share
        return <rect key={tone} class={`spread-${tone}`} x={`${x}%`} width={`${share * 100}%`} height="8" />
      })}
    </svg>
  )
}
