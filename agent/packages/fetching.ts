// The steps that need the network: the signed list of a release, then its files. What another package or the board's own folder
// holds already is not fetched again.
import { join } from 'node:path'
import type { ReleaseFile } from '../../broker/protocol/packages.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import { refsOf } from '../../models/contents.ts'
import { createTransfer, type Source, type Transfer } from './transfer.ts'
import type { View } from './view.ts'

/** 64 files with the longest paths make less than half of it. */
const RELEASE_BYTES = 64 * 1024

type Options = Omit<Parameters<typeof createTransfer>[0], 'releaseBytes'> & {
  readonly folder: ReadonlyMap<string, ModelPackage>
}

export interface Fetching {
  readonly release: Transfer['release']
  /** `arrived`: how many of the file's bytes are here. */
  file(
    view: View,
    release: string,
    file: ReleaseFile,
    arrived: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<void>
}

export function createFetching({ folder, ...options }: Options): Fetching {
  const transfer = createTransfer({ ...options, releaseBytes: RELEASE_BYTES })

  /** Those that are named with the same digest; the packages of the folder are the owner's, who may change them. */
  function sourcesOf({ signed }: View, { sha256 }: ReleaseFile): Source[] {
    const others = [...signed.values()].flatMap(({ release, folder: at }) =>
      release.files.map((ref) => ({ ref, path: join(at, ref.path), take: 'link' as const })),
    )
    const own = [...folder.values()].flatMap((pkg) =>
      refsOf(pkg.manifest).map((ref) => ({ ref, path: join(pkg.folder, ref.path), take: 'copy' as const })),
    )
    return [...others, ...own].filter(({ ref }) => ref.sha256 === sha256)
  }

  function missingBytes({ signed, releases }: View, release: string): number {
    const missing = releases.get(release)?.missing ?? signed.get(release)?.release.files ?? []
    return missing.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  return {
    release: transfer.release,
    file: (view, release, file, arrived, signal) =>
      transfer.file(
        { release, file, sources: sourcesOf(view, file), missingBytes: missingBytes(view, release), arrived },
        signal,
      ),
  }
}
