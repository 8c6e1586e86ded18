// The registry of this start: packages and wishes, who is told of them, and what the routes call.

import { join } from 'node:path'
import type { Context } from 'hono'
import type { Catalog } from '../../models/catalog.ts'
import type { AppOptions } from '../app.ts'
import type { Send } from '../bus.ts'
import type { Config } from '../config.ts'
import type { Board, Devices } from '../fleet/devices.ts'
import type { Presence } from '../fleet/presence.ts'
import { type Change, FLEET, openWishes } from '../registry/desired.ts'
import { createNudges } from '../registry/nudges.ts'
import { openPublishers } from '../registry/publishers.ts'
import { createPublishing, putBlob } from '../registry/publishing.ts'
import { openRegistry } from '../registry/registry.ts'
import { RegistryError } from '../registry/registry-error.ts'
import type { Kept } from '../registry/shelf.ts'
import type { DesiredChange } from '../routes/shapes.ts'
import type { SeenBoard } from '../software/decide.ts'
import { openSoftwareShelf } from '../software/releases.ts'
import { openRollouts } from '../software/rollouts.ts'
import type { Store } from '../store/open.ts'
import type { ConsoleKeys } from './keys.ts'
import type { Surroundings } from './surroundings.ts'
import type { Trades } from './trades.ts'
import type { Views } from './views.ts'

export interface RegistryStart {
  readonly config: Config
  readonly store: Store
  readonly catalog: Catalog
  readonly keys: ConsoleKeys
  readonly send: Send
  readonly devices: Pick<Devices, 'get' | 'list' | 'presenceOf'>
  readonly newId: () => string
  readonly published: (kept: Kept) => Promise<void>
}

export async function openPackages(options: RegistryStart, surroundings: Surroundings) {
  const { config, store, catalog, keys, devices } = options
  const { now, sleep, stopping } = surroundings
  const log = surroundings.log.child({ part: 'registry' })
  const nudges = createNudges({ send: options.send, newId: options.newId, now, sleep, stopping, log })
  const registry = await openRegistry({
    db: store.db,
    folder: join(config.data, 'registry'),
    key: keys.publisher,
    now,
    log,
    published: options.published,
  })
  const { shelf, publishers } = registry
  const everyBoard = (): string[] => devices.list().map(({ id }) => id)
  const wishes = await openWishes({
    db: store.db,
    shelf,
    publishers,
    now,
    changed: ({ scope }) => nudges.add(scope === FLEET ? everyBoard() : [scope]),
  })

  const software = await openSoftware()
  async function openSoftware() {
    const publishers = await openPublishers(store.db, now, 'software_publishers')
    const shelf = await openSoftwareShelf({ db: store.db, publishers, now })
    const boards = () => devices.list().map((board) => seenBoard(board, devices.presenceOf(board).state))
    const softwareOf = (device: string) => devices.get(device)?.info?.software
    const changed = () => nudges.add(everyBoard())
    const rollouts = await openRollouts({ db: store.db, shelf, boards, softwareOf, now, changed, log })
    return { publishers, shelf, rollouts, ...createPublishing(registry.blobs, shelf.kind) }
  }

  /** sha256 of the model file of `id` or `id@version`, as receipts name it. */
  function digestOf(model: string): string | undefined {
    const [id = '', version] = model.split('@')
    const here = catalog.resolve(model)?.sha256
    return here ?? (version === undefined ? undefined : shelf.find(id, version)?.summary.sha256)
  }

  return {
    registry,
    wishes,
    software,
    putBlob: (sha256: string, source: AsyncIterable<Uint8Array>) =>
      putBlob(registry.blobs, [registry, software], sha256, source),
    digestOf,
    everyBoard,
    nudges,
    /** In the background: whoever starts a console should not wait for files to be copied. */
    takeInFolder(): void {
      const taking = registry.takeIn(catalog, software.shelf.named(), stopping)
      surroundings.stack.defer(async () => {
        await taking
        await nudges.settled()
      })
    },
  }
}
export type Packages = Awaited<ReturnType<typeof openPackages>>

function seenBoard({ id, info, clocks }: Board, state: Presence['state']): SeenBoard {
  const heardAt = Math.max(clocks.mqtt?.at ?? 0, clocks.heartbeatAt ?? 0, clocks.resultAt ?? 0)
  return {
    id,
    online: state !== 'offline' && state !== 'new',
    heardAt,
    ...(info?.software && { software: info.software }),
  }
}

const LIMITS = { perMinute: 600, failuresPerMinute: 60 }

function boardDesk(trades: Trades, { now }: Surroundings, addressOf: (c: Context) => string): AppOptions['boards'] {
  const { registry, wishes, software } = trades.packages
  const { shelf, blobs } = registry
  return {
    guard: {
      verify: trades.verify,
      isBoard: (id) => trades.devices.get(id) !== undefined,
      now,
      addressOf,
      limits: LIMITS,
    },
    desired(device, arch) {
      const kept = arch && software.rollouts.wantedBy(device, arch)
      const wish = kept && { version: kept.release.version, release: kept.digest }
      return { ...wishes.answer(device), ...(wish && { software: wish }) }
    },
    release: async (digest) => (await shelf.jws(digest)) ?? software.shelf.jws(digest),
    async blobBytes(sha256) {
      const bytes = shelf.bytesOf(sha256) ?? software.shelf.kind.bytesOf(sha256)
      // What is damaged is not handed out: a board would fetch it, find it wrong, and fetch it again.
      return bytes !== undefined && (await blobs.sizeOf(sha256)) === bytes ? bytes : undefined
    },
    readBlob: blobs.read,
    now,
  }
}

function releaseDesk(
  { registry, wishes, nudges, everyBoard, putBlob }: Packages,
  views: Views,
): AppOptions['releases'] {
  const { publishers } = registry
  return {
    releases: views.models.releases,
    offer: registry.offer,
    putBlob,
    publishers: publishers.list,
    trust: publishers.add,
    async revoke(id) {
      if (id === registry.own)
        throw new RegistryError(
          'publisher-taken',
          "This is the console's own publisher: stop the console, remove keys/publisher.pem from its data folder, start it, and revoke again.",
        )
      await publishers.revoke(id)
      await wishes.dropPublisher(id)
      nudges.add(everyBoard())
    },
  }
}

const changeOf = ({ scope, model, before, after }: Change): DesiredChange => ({
  model,
  ...(scope !== FLEET && { device: scope }),
  before: before?.release.version ?? null,
  after: after?.release.version ?? null,
})

function desiredDesk(trades: Trades, views: Views): AppOptions['desired'] {
  const { registry, wishes } = trades.packages
  return {
    desired: views.models.desired,
    isBoard: (id) => trades.devices.get(id) !== undefined,
    async desire(model, version, device = FLEET) {
      const kept = version === null ? undefined : registry.shelf.find(model, version)
      if (version !== null && kept === undefined)
        throw new RegistryError('unknown-release', `${model}@${version} is not here: publish it first.`)
      return changeOf(await wishes.set(device, model, kept?.digest))
    },
    rollBack: async (model, device = FLEET) => changeOf(await wishes.rollBack(device, model)),
  }
}

function softwareDesk({ software, nudges, everyBoard }: Packages, views: Views): AppOptions['software'] {
  const { publishers, rollouts } = software
  return {
    software: views.software.all,
    offer: software.offer,
    trust: publishers.add,
    async revoke(id) {
      await publishers.revoke(id)
      nudges.add(everyBoard())
    },
    start: rollouts.start,
    stop: rollouts.stop,
    resume: rollouts.resume,
    rollBack: rollouts.rollBack,
  }
}

export const packageDesks = (
  { trades, views }: { trades: Trades; views: Views },
  surroundings: Surroundings,
  addressOf: (c: Context) => string,
): Pick<AppOptions, 'boards' | 'releases' | 'desired' | 'software'> => ({
  boards: boardDesk(trades, surroundings, addressOf),
  releases: releaseDesk(trades.packages, views),
  desired: desiredDesk(trades, views),
  software: softwareDesk(trades.packages, views),
})
