// A release being put together on disk: its signed list, finished files, parts of files under way, and at last the mark that all of
// it was checked. What is deleted goes out of the way by one rename first: half of it must not look like a whole.
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { digestOfRelease, type ReleaseFile } from '../../broker/protocol/packages.ts'

const RELEASE_FILE = '.release'
const CHECKED_FILE = '.checked'
export const STAGING = /^\.staging-([0-9a-f]{64})$/
const GONE = /^\.gone-/

export interface Staging {
  /** Absolute. */
  readonly root: string
  /** Where a release is put together. */
  folderOf(release: string): string
  /** The signed text in a folder; undefined, and the folder is gone, where it is not that of this release. */
  signedIn(folder: string, release: string): Promise<string | undefined>
  isChecked(folder: string): Promise<boolean>
  /** Which of these files are not in the folder yet. */
  missing<F extends Pick<ReleaseFile, 'path' | 'bytes'>>(folder: string, files: readonly F[]): Promise<readonly F[]>
  stage(release: string, jws: string): Promise<void>
  /** Where the bytes of a file are collected. */
  partOf(release: string, sha256: string): string
  /** A collected and checked part becomes the file. */
  settle(release: string, file: Pick<ReleaseFile, 'path' | 'sha256'>): Promise<void>
  /** Everything in it is on the disk and was checked. */
  sealed(release: string): Promise<void>
  /** A folder below the root gets another name below the root, for good. */
  rename(folder: string, name: string): Promise<void>
  discard(folder: string, release: string): Promise<void>
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

export function openStaging(folder: string): Staging {
  const root = resolve(folder)
  mkdirSync(root, { recursive: true, mode: 0o700 })
  const staging = (release: string): string => join(root, `.staging-${release}`)

  async function discard(at: string, release: string): Promise<void> {
    const gone = join(root, `.gone-${release}-${randomUUID()}`)
    await rename(at, gone)
    await rm(gone, { recursive: true, force: true })
  }

  return {
    root,
    folderOf: staging,
    async signedIn(at, release) {
      const jws = await readFile(join(at, RELEASE_FILE), 'utf8').catch(() => undefined)
      if (jws !== undefined && digestOfRelease(jws) === release) return jws
      // What stays because the disk takes no changes is not seen all the same.
      if (await exists(at)) await discard(at, release).catch(() => undefined)
      return undefined
    },
    isChecked: (at) => exists(join(at, CHECKED_FILE)),
    async missing(at, files) {
      const sizes = await Promise.all(files.map(({ path }) => stat(join(at, path)).catch(() => undefined)))
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
    async rename(at, name) {
      await rename(at, join(root, name))
      await sync(root)
    },
    discard,
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
