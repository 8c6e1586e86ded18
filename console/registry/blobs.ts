// The bytes of packages, each file under the sha256 of its content. A file is there whole or not at all: it is written
// beside, hashed on the way, synced, and only then given its name.
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, type ReadStream } from 'node:fs'
import { copyFile, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Release } from '../../broker/protocol/packages.ts'
import { RegistryError } from './registry-error.ts'

const DIGEST = /^[0-9a-f]{64}$/
/** Larger than Node's 64 KiB: a blob is read once, from one end to the other. */
const PIECE_BYTES = 256 * 1024
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

export interface Blobs {
  /** Undefined when it is not here. Anything but a digest is never looked for on the disk. */
  sizeOf(sha256: string): Promise<number | undefined>
  /** `last` is inclusive. The caller reads it to its end or destroys it. */
  read(sha256: string, first: number, last: number): ReadStream
  /** Rejects with RegistryError `wrong-bytes` or `disk-full`, and keeps nothing then. */
  put(file: { sha256: string; bytes: number }, source: AsyncIterable<Uint8Array>): Promise<void>
  /** Runs `work` over a folder that looks like the package, then removes it. */
  laidOut<T>(release: Release, work: (folder: string) => Promise<T>): Promise<T>
  /** Removes what no release names and has not changed since `before` (epoch ms), and what a crash left half written. */
  sweep(named: ReadonlySet<string>, before: number): Promise<number>
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '')

/** The name is on the disk only once its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Some file systems of removable disks have no links. */
const lay = (from: string, to: string): Promise<void> =>
  link(from, to).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') throw error
    return copyFile(from, to)
  })

const wrong = (message: string): RegistryError => new RegistryError('wrong-bytes', message)

async function receive(part: string, bytes: number, source: AsyncIterable<Uint8Array>): Promise<string> {
  const handle = await open(part, 'wx', 0o600)
  try {
    const hash = createHash('sha256')
    let at = 0
    for await (const chunk of source) {
      at += chunk.byteLength
      if (at > bytes) throw wrong(`more than the ${bytes} bytes that the release says`)
      hash.update(chunk)
      await handle.appendFile(chunk)
    }
    if (at < bytes) throw wrong(`ended after ${at} of ${bytes} bytes`)
    await handle.sync()
    return hash.digest('hex')
  } finally {
    await handle.close()
  }
}

/** Makes both folders, readable by their owner alone. */
export async function openBlobs(root: string): Promise<Blobs> {
  const folder = join(root, 'blobs')
  const incoming = join(root, 'incoming')
  for (const made of [root, folder, incoming]) await mkdir(made, { recursive: true, mode: 0o700 })
  // Nothing in there outlives the process that was writing it.
  for (const name of await readdir(incoming)) await rm(join(incoming, name), { recursive: true, force: true })

  const pathOf = (sha256: string): string => {
    if (!DIGEST.test(sha256)) throw new TypeError(`not a digest: ${sha256}`)
    return join(folder, sha256)
  }

  return {
    async sizeOf(sha256) {
      if (!DIGEST.test(sha256)) return undefined
      try {
        return (await stat(pathOf(sha256))).size
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return undefined
        throw error
      }
    },

    read: (sha256, start, end) => createReadStream(pathOf(sha256), { start, end, highWaterMark: PIECE_BYTES }),

    async put({ sha256, bytes }, source) {
      const part = join(incoming, randomUUID())
      try {
        const found = await receive(part, bytes, source)
        if (found !== sha256) throw wrong(`came with sha256 ${found}, the release says ${sha256}`)
        await rename(part, pathOf(sha256))
        await syncFolder(folder)
      } catch (error) {
        await rm(part, { force: true })
        if (FULL.has(codeOf(error))) throw new RegistryError('disk-full', 'The console has no room on its disk.', error)
        throw error
      }
    },

    async laidOut(release, work) {
      const at = join(incoming, randomUUID())
      try {
        for (const { path, sha256 } of release.files) {
          await mkdir(dirname(join(at, path)), { recursive: true, mode: 0o700 })
          await lay(pathOf(sha256), join(at, path))
        }
        return await work(at)
      } finally {
        await rm(at, { recursive: true, force: true })
      }
    },

    async sweep(named, before) {
      let removed = 0
      for (const name of await readdir(folder)) {
        if (named.has(name)) continue
        const { mtimeMs } = await stat(join(folder, name))
        if (mtimeMs >= before) continue
        await rm(join(folder, name), { recursive: true, force: true })
        removed += 1
      }
      return removed
    },
  }
}
