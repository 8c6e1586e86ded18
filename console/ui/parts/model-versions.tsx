// The versions of a model, who published them, how large they are, and who serves them; one can be chosen for the boards.
import type { ModelVersion, ModelView } from '../../routes/shapes.ts'
import { formatBytes, plural } from '../quantities.ts'
import { type Column, Table } from './table.tsx'
import { Digest, Moment, Pill } from './words.tsx'

function Publisher({ release }: ModelVersion) {
  if (!release) return <span class="muted">only in the console's folder</span>
  return (
    <>
      {release.publisher}
      {release.trusted ? (
        <small class="muted">
          <Moment at={release.publishedAt} />
        </small>
      ) : (
        <span class="reason ink-bad">no longer trusted</span>
      )}
    </>
  )
}

const columnsOf = (model: ModelView, onChoose: (version: string) => void): readonly Column<ModelVersion>[] => [
  {
    key: 'version',
    label: 'Version',
    cell: ({ version, sha256 }) => (
      <>
        <strong>{version}</strong> {model.desired?.version === version && <Pill tone="ok" label="Set for the fleet" />}
        <small class="muted">
          <Digest text={sha256} keep={6} />
        </small>
      </>
    ),
  },
  { key: 'publisher', label: 'Publisher', cell: (version) => <Publisher {...version} /> },
  {
    key: 'size',
    label: 'Size',
    end: true,
    cell: ({ bytes, release }) => (
      <span title={release ? `${plural(release.files, 'file')}, ${formatBytes(release.bytes)} in all` : undefined}>
        {formatBytes(release?.bytes ?? bytes)}
      </span>
    ),
  },
  {
    key: 'licence',
    label: 'Licence',
    cell: ({ licence }) => (
      <span class="licence" title={[licence.package, licence.attribution].filter(Boolean).join(' · ')}>
        {licence.weights}
      </span>
    ),
  },
  { key: 'boards', label: 'Served by', end: true, cell: ({ boards }) => plural(boards, 'board') },
  {
    key: 'choose',
    label: 'Choose',
    end: true,
    cell: ({ version, release }) =>
      release?.trusted ? (
        <button
          type="button"
          class={model.desired?.version === version ? 'button quiet' : 'button'}
          onClick={() => onChoose(version)}
        >
          Serve {version}…<span class="unseen"> of {model.id}</span>
        </button>
      ) : (
        <span class="muted">not for boards</span>
      ),
  },
]

export const ModelVersions = ({ model, onChoose }: { model: ModelView; onChoose: (version: string) => void }) => (
  <Table
    caption={`Versions of ${model.id}`}
    columns={columnsOf(model, onChoose)}
    rows={model.versions}
    keyOf={({ version }) => version}
  />
)
