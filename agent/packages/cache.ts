// Packages on disk. The file system is the index: what has its own name is whole, because it got it by one rename after all of
// it was on the disk; what is under way or going away has a hidden name.
//   {id}@{version}.{release}/   a package, and its signed release as `.release`
//   .staging-{release}/         a package being put together: `.release`, finished files, `.part-{sha256}`, at last `.checked`
//   .gone-{release}/            what is being deleted
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { digestOfRelease, type ReleaseFile } from '../../broker/protocol/packages.ts'

const RELEASE_FILE = '.release'
const CHECKED_FILE = '.checked'
const PLACED = /^[A-Za-z0-9_-]+@[^/]+\.([0-9a-f]{64})$/
const STAGING = /^\.staging-([0-9a-f]{64})$/
const GONE = /^\.gone-/

export interface OnDisk {
  readonly stage: 'staged' | 'checked' | 'placed'
  readonly folder: string
  /** The release as it was signed. */
  readonly jws: string
}

export interface Cache {
  /** By release digest. What is not what it says it is, is deleted. */
  look(): Promise<ReadonlyMap<string, OnDisk>>
  /** Which of these files are not in the folder yet. */
  missing(folder: string, files: readonly ReleaseFile[]): Promise<readonly ReleaseFile[]>
  stage(release: string, jws: string): Promise<void>
  /** Where the bytes of a file are collected. */
  partOf(release: string, sha256: string): string
  /** A collected and checked part becomes the file. */
  settle(release: string, file: ReleaseFile): Promise<void>
  /** Everything in it is on the disk and was checked. */
  sealed(release: string): Promise<void>
  place(release: string, id: string, version: string): Promise<void>
  evict(release: string): Promise<void>
  /** Finishes deletions that a power cut interrupted. Not while anything else goes on. */
  tidy(): Promise<void>
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The file is there with all its bytes, or not at all, also after a power cut. */
async function writeWhole(file: string, text: string): Promise<void> {
  // Always the same name: what a power cut leaves is taken over by the next try.
  const temporary = `${file}.new`
  const handle = await open(temporary, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  await sync(dirname(file))
}

export function openCache(folder: string): Cache {
  const root = resolve(folder)
  mkdirSync(root, { recursive: true, mode: 0o700 })
  const staging = (release: string): string => join(root, `.staging-${release}`)

  /** First out of the way by one rename: half a deleted package must not look like a package. */
  async function discard(folder: string, release: string): Promise<void> {
    const gone = join(root, `.gone-${release}-${randomUUID()}`)
    await rename(folder, gone)
    await rm(gone, { recursive: true, force: true })
  }

  async function read(name: string, release: string, isPlaced: boolean): Promise<OnDisk | undefined> {
    const folder = join(root, name)
    const jws = await readFile(join(folder, RELEASE_FILE), 'utf8').catch(() => undefined)
    if (jws === undefined || digestOfRelease(jws) !== release) {
      // What stays because the disk takes no changes is not seen all the same.
      await discard(folder, release).catch(() => undefined)
      return undefined
    }
    if (isPlaced) return { stage: 'placed', folder, jws }
    return { stage: (await exists(join(folder, CHECKED_FILE))) ? 'checked' : 'staged', folder, jws }
  }

  async function foldersOf(release: string): Promise<string[]> {
    const names = await readdir(root)
    return names.filter((name) => (PLACED.exec(name) ?? STAGING.exec(name))?.[1] === release)
  }

  return {
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
    async missing(folder, files) {
      const sizes = await Promise.all(files.map(({ path }) => stat(join(folder, path)).catch(() => undefined)))
      return files.filter(({ bytes }, i) => sizes[i]?.size !== bytes)
    },
    async stage(release, jws) {
      await mkdir(staging(release), { recursive: true, mode: 0o700 })
      await writeWhole(join(staging(release), RELEASE_FILE), jws)
      await sync(root)
    },
    partOf: (release, sha256) => join(staging(release), `.part-${sha256}`),
    async settle(release, { path, sha256 }) {
      const file = join(staging(release), path)
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      await rename(join(staging(release), `.part-${sha256}`), file)
    },
    async sealed(release) {
      await syncTree(staging(release))
      await writeWhole(join(staging(release), CHECKED_FILE), '')
    },
    async place(release, id, version) {
      await rename(staging(release), join(root, `${id}@${version}.${release}`))
      await sync(root)
    },
    async evict(release) {
      for (const name of await foldersOf(release)) await discard(join(root, name), release)
    },
    async tidy() {
      const gone = (await readdir(root)).filter((name) => GONE.test(name))
      for (const name of gone) await rm(join(root, name), { recursive: true, force: true }).catch(() => undefined)
    },
  }
}

/** Files too: some are copies, or were written before a power cut. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    await (entry.isDirectory() ? syncTree(path) : sync(path))
  }
  await sync(folder)
}
