// The steps that need the network: the signed list of a release, then its files, one by one. What another package or the
// board's own folder holds already is not fetched again.
import { constants } from 'node:fs'
import { copyFile, link, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { digestOfRelease, PACKAGE_PATHS, type ReleaseFile } from '../../broker/protocol/packages.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import { refsOf } from '../../models/contents.ts'
import { askText, reasonOf } from '../membership/http.ts'
import type { Cache } from './cache.ts'
import { type ConsoleAccess, faultOf, headersOf } from './desired.ts'
import { believe, download } from './download.ts'
import { PackageFault } from './fault.ts'
import type { View } from './view.ts'

/** 64 files with the longest paths make less than half of it. */
const RELEASE_BYTES = 64 * 1024
const RELEASE_LIMIT_MS = 60_000
/** Left free for the outbox and the rest of the system. */
const SPARE_BYTES = 64 * 1024 * 1024

interface Options {
  readonly console: ConsoleAccess
  readonly cache: Pick<Cache, 'stage' | 'partOf' | 'settle'>
  readonly folder: ReadonlyMap<string, ModelPackage>
  readonly freeBytes: () => Promise<number>
  readonly breathe: (signal: AbortSignal) => Promise<void>
}

export interface Fetching {
  release(release: string, signal: AbortSignal): Promise<void>
  /** `arrived`: how many of the file's bytes are here. */
  file(
    view: View,
    release: string,
    file: ReleaseFile,
    arrived: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<void>
}

export function createFetching({ console, cache, folder, freeBytes, breathe }: Options): Fetching {
  async function askRelease(release: string, signal: AbortSignal): Promise<{ status: number; text: string }> {
    const target = new URL(PACKAGE_PATHS.release(release), console.url)
    const limited = AbortSignal.any([signal, AbortSignal.timeout(RELEASE_LIMIT_MS)])
    try {
      return await askText(target, { headers: headersOf(console), signal: limited }, RELEASE_BYTES)
    } catch (error) {
      throw new PackageFault('unreachable', `its release cannot be had from ${console.url} (${reasonOf(error)})`, error)
    }
  }

  async function room({ signed, releases }: View, release: string): Promise<void> {
    const missing = releases.get(release)?.missing ?? signed.get(release)?.release.files ?? []
    const bytes = missing.reduce((sum, file) => sum + file.bytes, 0)
    const free = await freeBytes()
    if (free >= bytes + SPARE_BYTES) return
    const [needed, left] = [bytes + SPARE_BYTES, free].map((n) => Math.round(n / 1024 / 1024))
    throw new PackageFault('no-room', `it needs ${needed} MiB of free disk, there are ${left} MiB`)
  }

  /** True when the same bytes were on this board already. They are read before they are believed. */
  async function reuse(view: View, file: ReleaseFile, part: string): Promise<boolean> {
    if (await exists(part)) return false
    const own = [...folder.values()].flatMap((pkg) =>
      refsOf(pkg.manifest).map((ref) => ({ ref, at: join(pkg.folder, ref.path), take: copy })),
    )
    const others = [...view.signed.values()].flatMap(({ release, folder: at }) =>
      release.files.map((ref) => ({ ref, at: join(at, ref.path), take: link })),
    )
    for (const { ref, at, take } of [...others, ...own])
      if (ref.sha256 === file.sha256 && (await sizeOf(at)) === file.bytes)
        if (
          await take(at, part)
            .then(() => believe(part, file))
            .then(yes, no)
        )
          return true
    await rm(part, { force: true })
    return false
  }

  return {
    async release(release, signal) {
      const { status, text } = await askRelease(release, signal)
      if (status !== 200) throw faultOf(console.url, status)
      const jws = text.trim()
      if (digestOfRelease(jws) !== release)
        throw new PackageFault('wrong-bytes', `${console.url} gave another release than ${release.slice(0, 12)}`)
      await cache.stage(release, jws)
    },
    async file(view, release, file, arrived, signal) {
      const part = cache.partOf(release, file.sha256)
      if (!(await reuse(view, file, part))) {
        await room(view, release)
        await download({ console, file, part, signal, arrived, breathe: () => breathe(signal) })
      }
      await cache.settle(release, file)
    },
  }
}

const yes = (): boolean => true
const no = (): boolean => false

const copy = (from: string, to: string): Promise<void> => copyFile(from, to, constants.COPYFILE_EXCL)

const sizeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  )

const exists = async (path: string): Promise<boolean> => (await sizeOf(path)) !== undefined
