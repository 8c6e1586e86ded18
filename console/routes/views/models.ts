// Models as the page shows them: the versions there are, their price, what boards should serve, and how far they are.
import { type Catalog, compareVersions } from '../../../models/catalog.ts'
import type { Board } from '../../fleet/devices.ts'
import type { Presence } from '../../fleet/presence.ts'
import type { Prices } from '../../market/prices.ts'
import { FLEET, type Wishes } from '../../registry/desired.ts'
import type { Publishers } from '../../registry/publishers.ts'
import { type Kept, type Shelf, type Summary, summaryOf } from '../../registry/shelf.ts'
import type { DesiredState, ModelPlace, ModelVersion, ModelView, ReleaseView } from '../shapes.ts'
import { isThere, type PlacedBoard, placeOf, refusedBy, sentenceOf, type WantedVersion } from './convergence.ts'

export interface ModelViewOptions {
  readonly catalog: Catalog
  readonly shelf: Pick<Shelf, 'list'>
  readonly publishers: Pick<Publishers, 'keyOf'>
  readonly wishes: Pick<Wishes, 'of' | 'wantedBy' | 'before'>
  readonly prices: Pick<Prices, 'of'>
  readonly boards: () => readonly Board[]
  readonly presenceOf: (board: Board) => Presence
}

const iso = (at: number): string => new Date(at).toISOString()

interface Version {
  readonly id: string
  readonly version: string
  readonly summary: Summary
  readonly kept?: Kept
}

/** By id and version: what is on the shelf, and what lies in the folder alone. */
function versionsOf({ catalog, shelf }: Pick<ModelViewOptions, 'catalog' | 'shelf'>): ReadonlyMap<string, Version[]> {
  const all: Version[] = shelf.list().map((kept) => ({
    id: kept.release.id,
    version: kept.release.version,
    summary: kept.summary,
    kept,
  }))
  for (const pkg of catalog.list()) {
    const { id, version } = pkg.manifest
    if (!all.some((one) => one.id === id && one.version === version)) all.push({ id, version, summary: summaryOf(pkg) })
  }
  all.sort((a, b) => (a.id === b.id ? compareVersions(b.version, a.version) : a.id < b.id ? -1 : 1))
  return Map.groupBy(all, ({ id }) => id)
}

export const releaseView = (kept: Kept, publishers: Pick<Publishers, 'keyOf'>): ReleaseView => {
  const { digest, release, summary, publishedAt, bytes } = kept
  const { id, version, publisher, files } = release
  return {
    ...summary,
    digest,
    model: id,
    version,
    publisher,
    trusted: publishers.keyOf(publisher) !== undefined,
    publishedAt: iso(publishedAt),
    files: files.length,
    bytes,
    modelBytes: summary.bytes,
  }
}

const servesIt = ({ models }: PlacedBoard, { id, version, summary }: Version): boolean =>
  models.some((model) => model.id === id && model.version === version && model.digest === summary.sha256)

const versionView = (
  one: Version,
  there: readonly PlacedBoard[],
  publishers: Pick<Publishers, 'keyOf'>,
): ModelVersion => ({
  version: one.version,
  sha256: one.summary.sha256,
  bytes: one.summary.bytes,
  licence: one.summary.licence,
  quantization: one.summary.quantization,
  determinism: one.summary.determinism,
  boards: there.filter((board) => servesIt(board, one)).length,
  ...(one.kept && { release: releaseView(one.kept, publishers) }),
})

export function createModelViews(options: ModelViewOptions) {
  const { publishers, wishes, prices, boards, presenceOf } = options

  const placed = (): PlacedBoard[] =>
    boards().map((board) => ({
      id: board.id,
      name: board.name,
      state: presenceOf(board).state,
      models: board.info?.models ?? [],
      packages: board.info?.packages ?? [],
    }))

  const wanted = (device: string, model: string): WantedVersion | undefined => {
    const opinion = wishes.wantedBy(device).get(model)
    if (!opinion) return undefined
    const { release: signed, summary } = opinion.kept
    return { version: signed.version, sha256: summary.sha256, pinned: wishes.of(device).has(model) }
  }

  function view(id: string, versions: readonly Version[], all: readonly PlacedBoard[]): ModelView | undefined {
    const desired = wishes.of(FLEET).get(id)
    const before = wishes.before(FLEET, id)
    const shown = versions.find((one) => one.kept !== undefined && one.kept === desired?.kept) ?? versions[0]
    if (!shown) return undefined
    const { title, task, sha256, bytes, licence } = shown.summary
    const there = all.filter(isThere)
    const places = all.flatMap((board): ModelPlace[] => {
      const place = placeOf(board, id, wanted(board.id, id))
      return place ? [place] : []
    })
    return {
      id,
      version: shown.version,
      title,
      task,
      sha256,
      bytes,
      licence: licence.weights,
      price: String(prices.of(id)?.units ?? 0n),
      boards: there.filter(({ models }) => models.some((model) => model.id === id)).length,
      versions: versions.map((one) => versionView(one, there, publishers)),
      ...(desired && { desired: { version: desired.kept.release.version, since: iso(desired.since) } }),
      ...(before && { before: { version: before.kept?.release.version ?? null } }),
      places: places.sort((a, b) => a.device.name.localeCompare(b.device.name)),
      sentence: sentenceOf(places, desired?.kept.release.version),
    }
  }

  return {
    releases: (): ReleaseView[] => options.shelf.list().map((kept) => releaseView(kept, publishers)),

    /** Of the versions that are here: what else a board names is its own affair. */
    refused() {
      const here = new Set(options.shelf.list().map(({ release: { id, version } }) => `${id}@${version}`))
      return refusedBy(placed()).filter(({ model }) => here.has(model))
    },

    async models(): Promise<ModelView[]> {
      const all = placed()
      return [...versionsOf(options)].flatMap(([id, versions]) => view(id, versions, all) ?? [])
    },

    desired(device?: string): DesiredState {
      const own = wishes.of(device ?? FLEET)
      const opinions = device === undefined ? own : wishes.wantedBy(device)
      const models = [...opinions].map(([model, { kept, since }]) => ({
        model,
        version: kept.release.version,
        release: kept.digest,
        since: iso(since),
        by: device !== undefined && own.has(model) ? ('board' as const) : ('fleet' as const),
      }))
      return { models: models.sort((a, b) => (a.model < b.model ? -1 : 1)) }
    },
  }
}
export type ModelViews = ReturnType<typeof createModelViews>
