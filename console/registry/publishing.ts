// How a package gets in: its signed release is offered, the files it names are handed in, and it is offered again. The
// whole of it is then checked as a board would, before any board hears of it.
import { type Release, type ReleaseFile, verifyRelease } from '../../broker/protocol/packages.ts'
import { faultOfList, openPackage } from '../../models/contents.ts'
import type { Blobs } from './blobs.ts'
import type { Publishers } from './publishers.ts'
import { RegistryError } from './registry-error.ts'
import { type Kept, type Shelf, summaryOf } from './shelf.ts'

/** Of the 64 files with the longest paths that a release may name, well below half. */
export const MAX_RELEASE_BYTES = 64 * 1024
/** Offers whose files are not all here yet; the oldest gives way. */
const MAX_PENDING = 16

export type Offer =
  | { readonly state: 'published'; readonly kept: Kept; readonly isNew: boolean }
  | { readonly state: 'incomplete'; readonly missing: readonly ReleaseFile[] }

export interface Publishing {
  /** Rejects with RegistryError. */
  offer(jws: string): Promise<Offer>
  /** Takes a file that an offer or a release names; anything else is refused. Rejects with RegistryError. */
  putBlob(sha256: string, source: AsyncIterable<Uint8Array>): Promise<void>
}

export interface PublishingOptions {
  readonly blobs: Blobs
  readonly shelf: Shelf
  readonly publishers: Pick<Publishers, 'keyOf'>
  readonly now: () => number
  /** A release is on the shelf now. */
  readonly published: (kept: Kept) => Promise<void>
}

const REFUSALS = {
  malformed: 'This is no release: sign the package again with `bramble models sign`.',
  'unknown-publisher': 'Its publisher is not trusted here: let it in with `bramble models trust`.',
  'bad-signature': "The signature is not its publisher's: sign the package with the key of that publisher.",
} as const

const sameFiles = (a: Release, b: Release): boolean => {
  const lines = ({ files }: Release) => files.map(({ path, sha256 }) => `${path} ${sha256}`).sort()
  return lines(a).join('\n') === lines(b).join('\n')
}

export function createPublishing({ blobs, shelf, publishers, now, published }: PublishingOptions): Publishing {
  const pending = new Map<string, Release>()
  let last: Promise<unknown> = Promise.resolve()

  /** One package is checked at a time: each is read whole, and two of one version must not pass each other. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }

  function read(jws: string): { release: Release; digest: string } {
    const verified = verifyRelease(jws, publishers.keyOf)
    if (!verified.ok) throw new RegistryError(verified.reason, REFUSALS[verified.reason])
    const fault = faultOfList(verified.release)
    if (fault !== undefined) throw new RegistryError('bad-package', `The package cannot be used: ${fault}.`)
    return verified
  }

  async function missing({ files }: Release): Promise<ReleaseFile[]> {
    const lacking: ReleaseFile[] = []
    for (const file of files)
      if (!lacking.some(({ sha256 }) => sha256 === file.sha256) && (await blobs.sizeOf(file.sha256)) !== file.bytes)
        lacking.push(file)
    return lacking
  }

  function remember(digest: string, release: Release): void {
    pending.delete(digest)
    pending.set(digest, release)
    const [oldest] = pending.keys()
    if (pending.size > MAX_PENDING && oldest !== undefined) pending.delete(oldest)
  }

  async function take(jws: string): Promise<Offer> {
    const { release, digest } = read(jws)
    const lacking = await missing(release)
    const twin = shelf.find(release.id, release.version)
    if (twin && (twin.release.publisher !== release.publisher || !sameFiles(twin.release, release)))
      throw new RegistryError(
        'version-taken',
        `${release.id}@${release.version} was published by ${twin.release.publisher} with other files: raise the version.`,
      )
    // Also of a release that is here already: a file lost from the disk is handed in again like this.
    if (lacking.length > 0) {
      remember(digest, release)
      return { state: 'incomplete', missing: lacking }
    }
    pending.delete(digest)
    if (twin) return { state: 'published', kept: twin, isNew: false }
    const opened = await blobs.laidOut(release, (folder) => openPackage(folder, release))
    if (!opened.ok) throw new RegistryError('bad-package', `The package cannot be used: ${opened.reason}.`)
    const kept = await shelf.add({ digest, jws, release, summary: summaryOf(opened.pkg), at: now() })
    await published(kept)
    return { state: 'published', kept, isNew: true }
  }

  const expected = (sha256: string): number | undefined => {
    const offered = [...pending.values()].flatMap(({ files }) => files).find((file) => file.sha256 === sha256)
    return offered?.bytes ?? shelf.bytesOf(sha256)
  }

  return {
    offer: (jws) => inTurn(() => take(jws)),
    async putBlob(sha256, source) {
      const bytes = expected(sha256)
      if (bytes === undefined)
        throw new RegistryError('not-expected', 'No release that was offered names this file: offer the release first.')
      if ((await blobs.sizeOf(sha256)) === bytes) return
      await blobs.put({ sha256, bytes }, source)
    },
  }
}
