// Packages on disk. The file system is the index: what has its own name is whole, because it got it by one rename after all of
// it was on the disk; what is under way or going away has a hidden name.
//   {id}@{version}.{release}/   a package, and its signed release as `.release`
//   .staging-{release}/         a package being put together: `.release`, finished files, `.part-{sha256}`, at last `.checked`
//   .gone-{release}/            what is being deleted
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { openStaging, STAGING, type Staging } from './staging.ts'

const PLACED = /^[A-Za-z0-9_-]+@[^/]+\.([0-9a-f]{64})$/

export interface OnDisk {
  readonly stage: 'staged' | 'checked' | 'placed'
  readonly folder: string
  /** The release as it was signed. */
  readonly jws: string
}

export interface Cache extends Pick<Staging, 'missing' | 'stage' | 'partOf' | 'settle' | 'sealed' | 'tidy'> {
  /** By release digest. What is not what it says it is, is deleted. */
  look(): Promise<ReadonlyMap<string, OnDisk>>
  place(release: string, id: string, version: string): Promise<void>
  evict(release: string): Promise<void>
}

export function openCache(folder: string): Cache {
  const staging = openStaging(folder)
  const { root } = staging

  async function read(name: string, release: string, isPlaced: boolean): Promise<OnDisk | undefined> {
    const at = join(root, name)
    const jws = await staging.signedIn(at, release)
    if (jws === undefined) return undefined
    if (isPlaced) return { stage: 'placed', folder: at, jws }
    return { stage: (await staging.isChecked(at)) ? 'checked' : 'staged', folder: at, jws }
  }

  async function foldersOf(release: string): Promise<string[]> {
    const names = await readdir(root)
    return names.filter((name) => (PLACED.exec(name) ?? STAGING.exec(name))?.[1] === release)
  }

  return {
    ...staging,
    async look() {
      const found = new Map<string, OnDisk>()
      for (const name of (await readdir(root)).sort()) {
        const placed = PLACED.exec(name)?.[1]
        const release = placed ?? STAGING.exec(name)?.[1]
        const onDisk = release === undefined ? undefined : await read(name, release, placed !== undefined)
        // Hidden names come first: a placed package wins over a staged one.
        if (release !== undefined && onDisk) found.set(release, onDisk)
      }
      return found
    },
    place: (release, id, version) => staging.rename(staging.folderOf(release), `${id}@${version}.${release}`),
    async evict(release) {
      for (const name of await foldersOf(release)) await staging.discard(join(root, name), release)
    },
  }
}
