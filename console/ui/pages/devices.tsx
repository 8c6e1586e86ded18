// Devices: every board in one table, what it is doing and why, and the way to add another.
import { useSignal } from '@preact/signals'
import type { Device } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { compareUnits } from '../amounts.ts'
import { modelName } from '../answers.ts'
import { Clocks } from '../parts/clocks.tsx'
import { Empty, Loading } from '../parts/empty.tsx'
import { type Choice, Filter } from '../parts/filter.tsx'
import { Flags } from '../parts/flags.tsx'
import { Icon } from '../parts/icons.tsx'
import { Software } from '../parts/software.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Amount, Pill } from '../parts/words.tsx'
import { formatEnergy, formatRate, formatTemperature, plural } from '../quantities.ts'
import { devices } from '../state.ts'
import { FLAG_WORDS, providerWords, STATE_LABELS, stateWords } from '../words.ts'

const NAMED_MODELS = 2

function Models({ models }: { models: readonly string[] }) {
  if (models.length === 0) return <span class="muted">none</span>
  const more = models.length - NAMED_MODELS
  return (
    <span title={models.join(', ')}>
      {models.slice(0, NAMED_MODELS).map(modelName).join(', ')}
      {more > 0 && <span class="muted"> and {more} more</span>}
    </span>
  )
}

const columns: readonly Column<Device>[] = [
  {
    key: 'name',
    label: 'Board',
    compare: (a, b) => a.name.localeCompare(b.name),
    cell: ({ id, name, owner }) => (
      <>
        <a class="row-link" href={paths.device(id)}>
          {name}
        </a>
        <small class="muted">{owner.name}</small>
      </>
    ),
  },
  {
    key: 'state',
    label: 'State',
    compare: (a, b) => stateWords(a).label.localeCompare(stateWords(b).label),
    cell: (device) => (
      <>
        <Pill {...stateWords(device)} />
        <span class="reason">{device.reason}</span>
        {device.notice && <span class="reason ink-warn">{device.notice}</span>}
        <Flags flags={device.flags} />
      </>
    ),
  },
  { key: 'clocks', label: 'Clocks', cell: (device) => <Clocks device={device} /> },
  {
    key: 'models',
    label: 'Models',
    cell: ({ models, provider }) => (
      <>
        <Models models={models} />
        {provider && (
          <span class="reason ink-warn" title={provider.reason}>
            {providerWords(provider)}
          </span>
        )}
      </>
    ),
  },
  {
    key: 'rate',
    label: 'Rate',
    end: true,
    compare: (a, b) => a.rate - b.rate,
    cell: ({ rate, energy }) => (
      <>
        {formatRate(rate)} <span class="unit">/s</span>
        {energy && (
          <small class="muted each" title={energy.from === 'measured' ? 'Measured' : 'Estimated from processor time'}>
            {energy.from === 'estimated' && '≈ '}
            {formatEnergy(energy.j)} each
          </small>
        )}
      </>
    ),
  },
  { key: 'queue', label: 'Queue', end: true, compare: (a, b) => a.queue - b.queue, cell: ({ queue }) => queue },
  {
    key: 'temp',
    label: 'Temp.',
    end: true,
    compare: (a, b) => (a.tempC ?? -1) - (b.tempC ?? -1),
    cell: ({ tempC, memMiB }) => {
      if (tempC !== undefined) return formatTemperature(tempC)
      // Of one that is not heard of nobody knows.
      return memMiB === undefined ? '–' : <span class="muted">no sensor</span>
    },
  },
  {
    key: 'earned',
    label: 'Earned',
    end: true,
    compare: (a, b) => compareUnits(a.earned, b.earned),
    cell: ({ earned }) => <Amount units={earned} />,
  },
]

const matches = (device: Device, text: string, state: string): boolean => {
  const told = [stateWords(device).label, device.reason, ...(device.flags ?? []).map((flag) => FLAG_WORDS[flag].label)]
  const words = [device.name, device.id, device.owner.name, ...device.models, ...told].join(' ').toLowerCase()
  return words.includes(text.toLowerCase().trim()) && (state === '' || stateWords(device).label === state)
}

const choicesOf = (all: readonly Device[]): readonly Choice[] => [
  { value: '', label: `All ${all.length}` },
  ...STATE_LABELS.map((label) => ({ label, count: all.filter((device) => stateWords(device).label === label).length }))
    .filter(({ count }) => count > 0)
    .map(({ label, count }) => ({ value: label, label: `${label} ${count}` })),
]

export function DevicesPage() {
  const text = useSignal('')
  const state = useSignal('')
  const all = devices.value
  if (!all) return <Loading what="the boards" />
  const shown = all.filter((device) => matches(device, text.value, state.value))
  return (
    <>
      <div class="page-head">
        <h1>Devices</h1>
        <a class="button primary" href={paths.addBoard}>
          <Icon name="plus" />
          Add board
        </a>
      </div>
      {all.length === 0 ? (
        <Empty title="No board is enrolled yet.">
          <p>
            Press “Add board”: it makes a file for the card of a Raspberry Pi, or a line for a Jetson or this computer.
          </p>
        </Empty>
      ) : (
        <>
          <Filter
            label="Find a board"
            hint="Name, id, owner, model or trouble"
            text={text}
            choice={state}
            choices={choicesOf(all)}
          />
          {shown.length === 0 ? (
            <Empty title={`None of ${plural(all.length, 'board')} fits the filter.`} />
          ) : (
            <Table caption="Boards" columns={columns} rows={shown} keyOf={({ id }) => id} />
          )}
          <Software />
        </>
      )}
    </>
  )
}
