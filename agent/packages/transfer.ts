// What comes over the network for a release: its signed list, then its files, one by one. What lies on this board already is not
// fetched again.
import { constants } from 'node:fs'
import { copyFile, link, rename, rm, stat } from 'node:fs/promises'
import { digestOfRelease, PACKAGE_PATHS, type ReleaseFile } from '../../broker/protocol/packages.ts'
import { askText, reasonOf } from '../membership/http.ts'
import { type ConsoleAccess, faultOf, headersOf } from './desired.ts'
import { believe, download } from './download.ts'
import { PackageFault } from './fault.ts'
import type { Staging } from './staging.ts'

const RELEASE_LIMIT_MS = 60_000
/** Left free for the outbox and the rest of the system. */
const SPARE_BYTES = 64 * 1024 * 1024

interface Options {
  readonly console: ConsoleAccess
  readonly staging: Pick<Staging, 'stage' | 'partOf' | 'settle'>
  readonly freeBytes: () => Promise<number>
  readonly breathe: (signal: AbortSignal) => Promise<void>
  /** Of the longest signed list. */
  readonly releaseBytes: number
}

/** A file on this board that may hold the same bytes. */
export interface Source {
  readonly path: string
  /** One file under two names, or two files: what may be changed or is on another disk is copied. */
  readonly take: 'link' | 'copy'
}

export interface Wanted {
  readonly release: string
  readonly file: Pick<ReleaseFile, 'path' | 'sha256' | 'bytes'>
  readonly sources: readonly Source[]
  /** Of all that is still to be fetched for the release. */
  readonly missingBytes: number
  /** How many of the file's bytes are here. */
  readonly arrived: (bytes: number) => void
}

export interface Transfer {
  /** Rejects with PackageFault, as does the other. */
  release(release: string, signal: AbortSignal): Promise<void>
  file(wanted: Wanted, signal: AbortSignal): Promise<void>
}

export function createTransfer({ console, staging, freeBytes, breathe, releaseBytes }: Options): Transfer {
  async function askRelease(release: string, signal: AbortSignal): Promise<{ status: number; text: string }> {
    const target = new URL(PACKAGE_PATHS.release(release), console.url)
    const limited = AbortSignal.any([signal, AbortSignal.timeout(RELEASE_LIMIT_MS)])
    try {
      return await askText(target, { headers: headersOf(console), signal: limited }, releaseBytes)
    } catch (error) {
      throw new PackageFault('unreachable', `its release cannot be had from ${console.url} (${reasonOf(error)})`, error)
    }
  }

  async function room(bytes: number): Promise<void> {
    const free = await freeBytes()
    if (free >= bytes + SPARE_BYTES) return
    const [needed, left] = [bytes + SPARE_BYTES, free].map((n) => Math.round(n / 1024 / 1024))
    throw new PackageFault('no-room', `it needs ${needed} MiB of free disk, there are ${left} MiB`)
  }

  return {
    async release(release, signal) {
      const { status, text } = await askRelease(release, signal)
      if (status !== 200) throw faultOf(console.url, status)
      const jws = text.trim()
      if (digestOfRelease(jws) !== release)
        throw new PackageFault('wrong-bytes', `${console.url} gave another release than ${release.slice(0, 12)}`)
      await staging.stage(release, jws)
    },
    async file({ release, file, sources, missingBytes, arrived }, signal) {
      const part = staging.partOf(release, file.sha256)
      if (!(await reuse(sources, file, part))) {
        await room(missingBytes)
        await download({ console, file, part, signal, arrived, breathe: () => breathe(signal) })
      }
      await staging.settle(release, file)
    },
  }
}

/** True when the same bytes were on this board already. They are read before they are believed. */
async function reuse(sources: readonly Source[], file: Wanted['file'], part: string): Promise<boolean> {
  if (await exists(part)) return false
  // Under another name until then: what a power cut leaves must not look like something that the console sent.
  const taken = `${part}.own`
  await rm(taken, { force: true })
  for (const { path, take } of sources)
    if ((await sizeOf(path)) === file.bytes)
      if (
        await TAKE[take](path, taken)
          .then(() => believe(taken, file))
          .then(() => rename(taken, part))
          .then(yes, no)
      )
        return true
  await rm(taken, { force: true })
  return false
}

const TAKE = {
  link,
  copy: (from: string, to: string): Promise<void> => copyFile(from, to, constants.COPYFILE_EXCL),
} as const satisfies Record<Source['take'], (from: string, to: string) => Promise<void>>

const yes = (): boolean => true
const no = (): boolean => false

const sizeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  )

const exists = async (path: string): Promise<boolean> => (await sizeOf(path)) !== undefined
