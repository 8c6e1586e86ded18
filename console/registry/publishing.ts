// How a package gets in: its signed release is offered, the files it names are handed in, and it is offered again. The
// whole of it is then checked as a board would, before any board hears of it. Models and the agent itself come the same way.
import type { Blobs } from './blobs.ts'
import { RegistryError } from './registry-error.ts'

/** Offers whose files are not all here yet; the oldest gives way. */
const MAX_PENDING = 16

interface File {
  readonly path: string
  readonly sha256: string
  readonly bytes: number
}

interface Signed {
  readonly publisher: string
  readonly files: readonly File[]
}

/** What differs between models and software. */
export interface Kind<R extends Signed, K> {
  /** Checks shape and signature. Throws RegistryError. */
  read(jws: string): { readonly release: R; readonly digest: string }
  nameOf(release: R): string
  /** The release of the same name that is here. */
  twinOf(release: R): { readonly release: R; readonly kept: K } | undefined
  /** Every file is here: checks the whole and keeps it. Rejects with RegistryError. */
  keep(entry: { readonly digest: string; readonly jws: string; readonly release: R }): Promise<K>
  /** The size of a file that a release which is kept names. */
  bytesOf(sha256: string): number | undefined
}

export type Offer<K> =
  | { readonly state: 'published'; readonly kept: K; readonly isNew: boolean }
  | { readonly state: 'incomplete'; readonly missing: readonly File[] }

export interface Publishing<K> {
  /** Rejects with RegistryError. */
  offer(jws: string): Promise<Offer<K>>
  /** The size of a file that an offer or a release names. */
  expects(sha256: string): number | undefined
}

const sameFiles = (a: Signed, b: Signed): boolean => {
  const lines = ({ files }: Signed) => files.map(({ path, sha256 }) => `${path} ${sha256}`).sort()
  return lines(a).join('\n') === lines(b).join('\n')
}

export function createPublishing<R extends Signed, K>(blobs: Pick<Blobs, 'sizeOf'>, kind: Kind<R, K>): Publishing<K> {
  const pending = new Map<string, R>()
  let last: Promise<unknown> = Promise.resolve()

  /** One package is checked at a time: each is read whole, and two of one version must not pass each other. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }

  async function missing({ files }: Signed): Promise<File[]> {
    const lacking: File[] = []
    for (const file of files)
      if (!lacking.some(({ sha256 }) => sha256 === file.sha256) && (await blobs.sizeOf(file.sha256)) !== file.bytes)
        lacking.push(file)
    return lacking
  }

  function remember(digest: string, release: R): void {
    pending.delete(digest)
    pending.set(digest, release)
    const [oldest] = pending.keys()
    if (pending.size > MAX_PENDING && oldest !== undefined) pending.delete(oldest)
  }

  async function take(jws: string): Promise<Offer<K>> {
    const { release, digest } = kind.read(jws)
    const lacking = await missing(release)
    const twin = kind.twinOf(release)
    if (twin && (twin.release.publisher !== release.publisher || !sameFiles(twin.release, release)))
      throw new RegistryError(
        'version-taken',
        `${kind.nameOf(release)} was published by ${twin.release.publisher} with other files: raise the version.`,
      )
    // Also of a release that is here already: a file lost from the disk is handed in again like this.
    if (lacking.length > 0) {
      remember(digest, release)
      return { state: 'incomplete', missing: lacking }
    }
    pending.delete(digest)
    if (twin) return { state: 'published', kept: twin.kept, isNew: false }
    return { state: 'published', kept: await kind.keep({ digest, jws, release }), isNew: true }
  }

  return {
    offer: (jws) => inTurn(() => take(jws)),
    expects(sha256) {
      const offered = [...pending.values()].flatMap(({ files }) => files).find((file) => file.sha256 === sha256)
      return offered?.bytes ?? kind.bytesOf(sha256)
    },
  }
}

/** Takes a file that an offer or a release names; anything else is refused. Rejects with RegistryError. */
export async function putBlob(
  blobs: Pick<Blobs, 'sizeOf' | 'put'>,
  expecting: readonly Pick<Publishing<unknown>, 'expects'>[],
  sha256: string,
  source: AsyncIterable<Uint8Array>,
): Promise<void> {
  const [bytes] = expecting.flatMap(({ expects }) => expects(sha256) ?? [])
  if (bytes === undefined)
    throw new RegistryError('not-expected', 'No release that was offered names this file: offer the release first.')
  if ((await blobs.sizeOf(sha256)) === bytes) return
  await blobs.put({ sha256, bytes }, source)
}
