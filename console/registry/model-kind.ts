// What makes a release of a model one: its package opens, and its publisher is one that may publish models.
import { type Release, verifyRelease } from '../../broker/protocol/packages.ts'
import { faultOfList, openPackage } from '../../models/contents.ts'
import type { Blobs } from './blobs.ts'
import type { Publishers } from './publishers.ts'
import type { Kind } from './publishing.ts'
import { RegistryError } from './registry-error.ts'
import { type Kept, type Shelf, summaryOf } from './shelf.ts'

/** Of the 64 files with the longest paths that a release may name, well below half. */
export const MAX_RELEASE_BYTES = 64 * 1024

export interface ModelKindOptions {
  readonly blobs: Pick<Blobs, 'laidOut'>
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

export const createModelKind = ({
  blobs,
  shelf,
  publishers,
  now,
  published,
}: ModelKindOptions): Kind<Release, Kept> => ({
  read(jws) {
    const verified = verifyRelease(jws, publishers.keyOf)
    if (!verified.ok) throw new RegistryError(verified.reason, REFUSALS[verified.reason])
    const fault = faultOfList(verified.release)
    if (fault !== undefined) throw new RegistryError('bad-package', `The package cannot be used: ${fault}.`)
    return verified
  },
  nameOf: ({ id, version }) => `${id}@${version}`,
  twinOf({ id, version }) {
    const kept = shelf.find(id, version)
    return kept && { release: kept.release, kept }
  },
  async keep({ digest, jws, release }) {
    const opened = await blobs.laidOut(release, (folder) => openPackage(folder, release))
    if (!opened.ok) throw new RegistryError('bad-package', `The package cannot be used: ${opened.reason}.`)
    const kept = await shelf.add({ digest, jws, release, summary: summaryOf(opened.pkg), at: now() })
    await published(kept)
    return kept
  },
  bytesOf: shelf.bytesOf,
})
