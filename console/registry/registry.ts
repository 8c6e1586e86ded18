// The registry: packages that boards may be told to serve, from publishers that are trusted, and the console's own
// publisher, which signs what lies in the console's folder of models.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import { digestOfRelease, signRelease } from '../../broker/protocol/packages.ts'
import type { Catalog, ModelPackage } from '../../models/catalog.ts'
import { digestOfFile } from '../../models/file-digest.ts'
import type { Database } from '../store/schema.ts'
import { type Blobs, openBlobs } from './blobs.ts'
import { releaseOf } from './folder.ts'
import { createModelKind } from './model-kind.ts'
import { openPublishers, type Publishers } from './publishers.ts'
import { createPublishing, type Publishing, putBlob } from './publishing.ts'
import { RegistryError } from './registry-error.ts'
import { type Kept, openShelf, type Shelf } from './shelf.ts'

export const OPERATOR = 'operator'
/** An upload that broke off may be taken up again for so long. */
const ABANDONED_MS = 86_400_000

export interface RegistryOptions {
  readonly db: Kysely<Database>
  /** DATA/registry */
  readonly folder: string
  /** Ed25519, of the console's own publisher. */
  readonly key: KeyObject
  readonly now: () => number
  readonly log: Logger
  readonly published: (kept: Kept) => Promise<void>
}

export interface Registry extends Publishing<Kept> {
  readonly blobs: Blobs
  readonly shelf: Shelf
  readonly publishers: Publishers
  /** The console's own publisher. */
  readonly own: string
  /**
   * Takes in what the console's own folder holds and the registry does not; what cannot be is logged. Then files are swept that neither a
   * model names nor `others`.
   */
  takeIn(catalog: Catalog, others: ReadonlySet<string>, signal: AbortSignal): Promise<void>
}

/** The raw public half, base64url. */
export const rawKeyOf = (key: KeyObject): string => String(createPublicKey(key).export({ format: 'jwk' }).x)

export const readPublisherKey = (pem: string): KeyObject => {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'ed25519')
    throw new RegistryError('malformed', 'A publisher signs with an Ed25519 key.')
  return key
}

/** Where the key was lost and made anew, the console goes on as another publisher: a key is never exchanged. */
async function ownPublisher(publishers: Publishers, key: string): Promise<string> {
  const known = publishers.list().find((publisher) => publisher.key === key && publisher.revokedAt === undefined)
  if (known) return known.id
  const isTaken = publishers.list().some(({ id }) => id === OPERATOR)
  return (await publishers.add({ id: isTaken ? `${OPERATOR}-${digestOfRelease(key).slice(0, 8)}` : OPERATOR, key })).id
}

export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const { db, folder, key, now, log } = options
  const blobs = await openBlobs(folder)
  const publishers = await openPublishers(db, now)
  const shelf = await openShelf(db)
  const own = await ownPublisher(publishers, rawKeyOf(key))
  const kind = createModelKind({ blobs, shelf, publishers, now, published: options.published })
  const publishing = createPublishing(blobs, kind)

  /** The release of this package that is here: its own signed text, so that it is offered as it was. */
  async function known(pkg: ModelPackage): Promise<string | undefined> {
    const kept = shelf.find(pkg.manifest.id, pkg.manifest.version)
    if (!kept) return undefined
    const signed = kept.release.files.find(({ path }) => path === 'model.json')
    const { sha256 } = await digestOfFile(join(pkg.folder, 'model.json'), signed?.bytes ?? 0)
    if (sha256 === signed?.sha256) return shelf.jws(kept.digest)
    const name = `${kept.release.id}@${kept.release.version}`
    throw new RegistryError(
      'version-taken',
      `${pkg.folder} is not the ${name} that was published: raise its version, or boards cannot get it`,
    )
  }

  async function takeInOne(pkg: ModelPackage, signal: AbortSignal): Promise<void> {
    const jws = (await known(pkg)) ?? signRelease(await releaseOf(pkg, own, now()), key)
    const offer = await publishing.offer(jws)
    if (offer.state === 'published') return
    for (const { path, sha256 } of offer.missing) {
      if (signal.aborted) return
      await putBlob(blobs, [publishing], sha256, createReadStream(join(pkg.folder, path)))
    }
    await publishing.offer(jws)
  }

  return {
    ...publishing,
    blobs,
    shelf,
    publishers,
    own,
    async takeIn(catalog, others, signal) {
      for (const pkg of catalog.list()) {
        if (signal.aborted) return
        try {
          await takeInOne(pkg, signal)
        } catch (error) {
          log.warn({ folder: pkg.folder, err: error }, 'a package of the models folder cannot be given to boards')
        }
      }
      await blobs.sweep(shelf.named().union(others), now() - ABANDONED_MS)
    },
  }
}
