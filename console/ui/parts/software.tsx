// The agent's own versions: which one each board runs, those that could be rolled out, and the rollout that is on its way.
import { useSignal } from '@preact/signals'
import type { SoftwareView } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { formatBytes } from '../quantities.ts'
import { api, loadSoftware } from '../session.ts'
import { software } from '../state.ts'
import { Confirm } from './confirm.tsx'
import { Empty } from './empty.tsx'
import { Rollout } from './rollout.tsx'
import { type Column, Table } from './table.tsx'
import { Moment, Pill } from './words.tsx'

type Board = SoftwareView['boards'][number]

const RUNS = {
  fixed: { label: 'From its sources', tone: 'calm' },
  packaged: { label: 'As installed', tone: 'calm' },
  confirmed: { label: 'Confirmed', tone: 'ok' },
  trial: { label: 'On trial', tone: 'warn' },
} as const

const columns: readonly Column<Board>[] = [
  {
    key: 'board',
    label: 'Board',
    compare: (a, b) => a.device.name.localeCompare(b.device.name),
    cell: ({ device: { id, name } }) => (
      <a class="row-link" href={paths.device(id)}>
        {name}
      </a>
    ),
  },
  {
    key: 'version',
    label: 'Runs',
    compare: (a, b) => a.version.localeCompare(b.version),
    cell: ({ version }) => version,
  },
  { key: 'state', label: 'State', cell: ({ state }) => <Pill {...RUNS[state]} /> },
  { key: 'ring', label: 'Ring', cell: ({ ring = '' }) => ring },
  {
    key: 'progress',
    label: 'Rollout',
    cell: ({ progress, percent, reason }) => (
      <>
        {progress}
        {percent !== undefined && ` ${percent} %`}
        {reason !== undefined && <span class="reason">{reason}</span>}
      </>
    ),
  },
]

function Releases({ releases, rollout }: SoftwareView) {
  const asked = useSignal<string | undefined>(undefined)
  const versions = [...Map.groupBy(releases, ({ version }) => version)]
  const isBusy = rollout?.state === 'canary' || rollout?.state === 'widening'
  return (
    <ul class="software-releases">
      {versions.map(([version, some]) => (
        <li key={version}>
          <strong>{version}</strong>
          <span class="muted">
            {some.map(({ arch, bytes }) => `${arch} ${formatBytes(bytes)}`).join(', ')} · {some[0]?.publisher}
          </span>
          {!isBusy && rollout?.version !== version && (
            <button type="button" class="button small" onClick={() => (asked.value = version)}>
              Roll out {version}…
            </button>
          )}
        </li>
      ))}
      {asked.value !== undefined && (
        <Confirm
          title={`Roll out ${asked.value}?`}
          action="Begin"
          onConfirm={() => api.rollOut(asked.value ?? '')}
          onClose={() => {
            asked.value = undefined
            loadSoftware()
          }}
        >
          <p>
            A few boards drawn by lot get it first; it widens by itself while none goes back, and stops by itself
            otherwise.
          </p>
        </Confirm>
      )}
    </ul>
  )
}

const History = ({ history }: SoftwareView) => (
  <details>
    <summary>What happened</summary>
    <ul class="software-history">
      {history.map(({ at, version, what }) => (
        <li key={`${at} ${what}`}>
          <Moment at={at} /> <strong>{version}</strong> {what}
        </li>
      ))}
    </ul>
  </details>
)

export function Software() {
  const view = software.value
  if (!view) return null
  const { releases, rollout, boards, history } = view
  return (
    <section class="software" aria-label="Agent software">
      <div class="section-head">
        <h2>Agent software</h2>
      </div>
      {releases.length === 0 ? (
        <Empty title="No version of the agent was published here.">
          <p>
            Boards run what their package brought. To update them from here: <code>npm run firmware:release</code>, then{' '}
            <code>bramble software publish FOLDER</code>.
          </p>
        </Empty>
      ) : (
        <>
          <Releases {...view} />
          {rollout && <Rollout rollout={rollout} />}
          <Table caption="Agents" columns={columns} rows={boards} keyOf={({ device }) => device.id} />
          {history.length > 0 && <History {...view} />}
        </>
      )}
    </section>
  )
}
