// What runs on the boards, and how the newest version is doing ring by ring.
import type { Kysely } from 'kysely'
import type { Board, Devices } from '../../fleet/devices.ts'
import type { Publishers } from '../../registry/publishers.ts'
import type { KeptSoftware, SoftwareShelf } from '../../software/releases.ts'
import { RINGS, type Rollout, ringOf, type Try } from '../../software/rings.ts'
import { readEvents } from '../../software/rollout-rows.ts'
import type { Rollouts } from '../../software/rollouts.ts'
import type { Database } from '../../store/schema.ts'
import { publisherView } from '../releases.ts'
import type { RolloutView, SoftwareReleaseView, SoftwareView } from '../shapes.ts'

export interface SoftwareViewOptions {
  readonly db: Kysely<Database>
  readonly publishers: Pick<Publishers, 'list' | 'keyOf'>
  readonly shelf: Pick<SoftwareShelf, 'list' | 'find'>
  readonly rollouts: Pick<Rollouts, 'list' | 'triesOf'>
  readonly boards: Devices['list']
}

const SHOWN_EVENTS = 20
/** A board may say whatever it likes, at any length. */
const MAX_REASON = 300

const iso = (at: number): string => new Date(at).toISOString()

type Place = keyof RolloutView['rings'][number]['boards']
const PLACES: Readonly<Record<Try['state'], Place>> = {
  downloading: 'downloading',
  switching: 'trial',
  trial: 'trial',
  confirmed: 'confirmed',
  refused: 'refused',
  failed: 'failed',
}

export function createSoftwareViews({ db, publishers, shelf, rollouts, boards }: SoftwareViewOptions) {
  const releaseView = ({ digest, release, publishedAt }: KeptSoftware): SoftwareReleaseView => ({
    digest,
    version: release.version,
    arch: release.arch,
    publisher: release.publisher,
    trusted: publishers.keyOf(release.publisher) !== undefined,
    publishedAt: iso(publishedAt),
    files: release.files.length,
    bytes: release.files.reduce((sum, { bytes }) => sum + bytes, 0),
  })

  const canRun = ({ info }: Board, { version }: Rollout): boolean =>
    info?.software !== undefined && shelf.find(version, info.software.arch) !== undefined

  function rolloutView(rollout: Rollout): RolloutView {
    const { version, state, reason, startedAt, changedAt, ring: opened } = rollout
    const tries = rollouts.triesOf(rollout.id)
    const rings = RINGS.map((name, ring) => ({
      name,
      open: ring <= opened,
      boards: { waiting: 0, downloading: 0, trial: 0, confirmed: 0, refused: 0, failed: 0 },
    }))
    let without = 0
    for (const board of boards()) {
      const mine = tries.get(board.id)
      const counts = rings[ringOf(board.id, rollout)]?.boards
      if (!canRun(board, rollout) && !mine) without += 1
      else if (counts) counts[mine ? PLACES[mine.state] : 'waiting'] += 1
    }
    const times = { startedAt: iso(startedAt), changedAt: iso(changedAt) }
    return { version, state, ...(reason !== undefined && { reason }), ...times, rings, without }
  }

  function boardView(board: Board, rollout: Rollout | undefined): SoftwareView['boards'][number] {
    const { id, name, info } = board
    const { software } = info ?? {}
    const mine = rollout && rollouts.triesOf(rollout.id).get(id)
    const reason = mine?.reason ?? software?.wanted?.reason
    const done = software?.wanted?.done
    return {
      device: { id, name },
      version: software?.version ?? info?.version ?? 'unknown',
      state: software?.state ?? 'fixed',
      ...(rollout && canRun(board, rollout) && { ring: RINGS[ringOf(id, rollout)] }),
      ...(mine && { progress: mine.state }),
      ...(done !== undefined && { percent: Math.floor(done * 100) }),
      ...(reason !== undefined && { reason: reason.slice(0, MAX_REASON) }),
    }
  }

  return {
    /** For the one sentence on top of the page. */
    stopped(): { version: string; reason: string } | undefined {
      const [rollout] = rollouts.list()
      if (rollout?.state !== 'stopped') return undefined
      return { version: rollout.version, reason: (rollout.reason ?? '').slice(0, MAX_REASON) }
    },

    async all(): Promise<SoftwareView> {
      const [rollout] = rollouts.list()
      const versions = new Map(rollouts.list().map(({ id, version }) => [id, version]))
      const events = await readEvents(db, SHOWN_EVENTS)
      return {
        publishers: publishers.list().map(publisherView),
        releases: shelf.list().map(releaseView),
        ...(rollout && { rollout: rolloutView(rollout) }),
        boards: boards().map((board) => boardView(board, rollout)),
        history: events.map(({ rollout_id, at, what }) => ({
          at: iso(at),
          version: versions.get(rollout_id) ?? '',
          what,
        })),
      }
    },
  }
}
