// The boards of a model: what each serves, where it is on its way, and why it is not further.
import type { ModelPlace } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { PLACE_WORDS } from '../words.ts'
import { BesideFp32 } from './beside-fp32.tsx'
import { Retry } from './retry.tsx'
import { type Column, Table } from './table.tsx'
import { Pill } from './words.tsx'

function Way({ place }: { place: ModelPlace }) {
  const { state, percent, reason, wants, device } = place
  if (state === undefined) return <span class="muted">its own choice</span>
  const label = PLACE_WORDS[state].label
  return (
    <>
      <Pill
        tone={PLACE_WORDS[state].tone}
        label={percent === undefined ? label : `${label} ${Math.floor(percent)} %`}
      />
      {percent !== undefined && (
        <progress class="unseen" max={100} value={percent} aria-label={`${wants} on its way`} />
      )}
      {reason && <span class="reason">{reason}</span>}
      {state === 'refused' && <Retry device={device.id} what={`${wants} on ${device.name}`} />}
    </>
  )
}

const columnsOf = (onUnpin: (place: ModelPlace) => void): readonly Column<ModelPlace>[] => [
  {
    key: 'name',
    label: 'Board',
    compare: (a, b) => a.device.name.localeCompare(b.device.name),
    cell: ({ device }) => <a href={paths.device(device.id)}>{device.name}</a>,
  },
  {
    key: 'serves',
    label: 'Serves',
    compare: (a, b) => (a.serves ?? '').localeCompare(b.serves ?? ''),
    cell: ({ serves, besideFp32 }) => (
      <>
        {serves ?? <span class="muted">nothing yet</span>}
        <BesideFp32 found={besideFp32} />
      </>
    ),
  },
  {
    key: 'wants',
    label: 'Should serve',
    cell: (place) => (
      <>
        {place.wants ?? <span class="muted">what it has</span>}
        {place.pinned && (
          <button type="button" class="button quiet small" onClick={() => onUnpin(place)}>
            Unpin<span class="unseen"> {place.device.name}</span>
          </button>
        )}
      </>
    ),
  },
  { key: 'state', label: 'State', cell: (place) => <Way place={place} /> },
]

export const Places = ({ places, onUnpin }: { places: readonly ModelPlace[]; onUnpin: (place: ModelPlace) => void }) =>
  places.length === 0 ? (
    <p class="muted">No board serves this model.</p>
  ) : (
    <Table
      caption="Boards of this model"
      columns={columnsOf(onUnpin)}
      rows={places}
      keyOf={({ device }) => device.id}
    />
  )
