// From a wish to a slot that holds it, whole and checked: the signed list, then every file, most of them from the versions that
// are here already. It may be cut off anywhere and is begun again where it was.
import { access, chmod, constants, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { SoftwareFile, SoftwareRelease } from '../../broker/protocol/software.ts'
import { digestOfFile } from '../../models/file-digest.ts'
import { believe } from '../packages/download.ts'
import { STAGING, type Staging } from '../packages/staging.ts'
import type { Source, Transfer } from '../packages/transfer.ts'
import type { Judged, Wish } from './judging.ts'
import { type Place, SLOTS, type Slot } from './place.ts'
import type { Slots } from './slots.ts'

interface Options {
  readonly place: Place
  readonly slots: Pick<Slots, 'folderOf' | 'signedIn' | 'holds' | 'current' | 'onTrial'>
  readonly staging: Staging
  readonly transfer: Transfer
  readonly judge: (jws: string, wish: Wish) => Judged
}

export type Filled = { readonly ok: true; readonly slot: Slot } | { readonly ok: false; readonly reason: string }

export interface Filling {
  /** `done`: 0..1 of the bytes. Rejects with PackageFault where it may be tried again. */
  fill(wish: Wish, done: (part: number) => void, signal: AbortSignal): Promise<Filled>
  /** Deletes what is not wanted any more, begun or whole, and finishes deletions that a power cut interrupted. */
  tidy(wanted: string | undefined): Promise<void>
}

export function createFilling({ place, slots, staging, transfer, judge }: Options): Filling {
  const idle = SLOTS.filter((slot) => slot !== place.running)

  /** As the version before, which nobody has deleted. */
  async function there(wish: Wish): Promise<Filled | undefined> {
    const slot = idle.find((one) => slots.holds(one) === wish.release)
    if (slot === undefined) return undefined
    const judged = judge(slots.signedIn(slot) ?? '', wish)
    if (!judged.ok) return judged
    if ((await damagedIn(slots.folderOf(slot), judged.release)) === undefined) return { ok: true, slot }
    await staging.discard(slots.folderOf(slot), wish.release)
    return undefined
  }

  async function signed({ release }: Wish, signal: AbortSignal): Promise<string> {
    const folder = staging.folderOf(release)
    const known = await staging.signedIn(folder, release)
    if (known !== undefined) return known
    await transfer.release(release, signal)
    return (await staging.signedIn(folder, release)) ?? ''
  }

  /** By its path in the other versions, and by its bytes in this one; what differs after all is found out by reading it. */
  function sourcesOf(folder: string, files: readonly SoftwareFile[], file: SoftwareFile): Source[] {
    const same = files.filter(({ path, sha256 }) => sha256 === file.sha256 && path !== file.path)
    return [
      ...same.map(({ path }) => ({ path: join(folder, path), take: 'link' as const })),
      ...SLOTS.map((slot) => ({ path: join(slots.folderOf(slot), file.path), take: 'link' as const })),
      { path: join(place.packaged, file.path), take: 'copy' },
    ]
  }

  async function collect(wish: Wish, { files }: SoftwareRelease, done: (part: number) => void, signal: AbortSignal) {
    const folder = staging.folderOf(wish.release)
    const missing = await staging.missing(folder, files)
    const all = sumOf(files)
    let missingBytes = sumOf(missing)
    for (const file of missing) {
      signal.throwIfAborted()
      const arrived = (bytes: number): void => done((all - missingBytes + bytes) / all)
      arrived(0)
      const sources = sourcesOf(folder, files, file)
      await transfer.file({ release: wish.release, file, sources, missingBytes, arrived }, signal)
      missingBytes -= file.bytes
    }
  }

  /** Read back once more: what a power cut left behind may have the right size only. */
  async function check(wish: Wish, { files }: SoftwareRelease, signal: AbortSignal): Promise<void> {
    const folder = staging.folderOf(wish.release)
    if (await staging.isChecked(folder)) return
    for (const file of files) {
      signal.throwIfAborted()
      await believe(join(folder, file.path), file)
      await setMode(join(folder, file.path), file.run === true ? 0o700 : 0o600)
    }
    await staging.sealed(wish.release)
  }

  async function putIn({ release }: Wish): Promise<Slot> {
    const [slot = 'a'] = idle
    if (await exists(slots.folderOf(slot))) await staging.discard(slots.folderOf(slot), release)
    await staging.rename(staging.folderOf(release), slot)
    return slot
  }

  async function fetched(wish: Wish, done: (part: number) => void, signal: AbortSignal) {
    const judged = judge(await signed(wish, signal), wish)
    if (!judged.ok) return judged
    await collect(wish, judged.release, done, signal)
    await check(wish, judged.release, signal)
    return putIn(wish)
  }

  return {
    async tidy(wanted) {
      await staging.tidy()
      await clear({ place, slots, staging }, wanted)
      for (const name of await readdir(staging.root)) {
        const release = STAGING.exec(name)?.[1]
        if (release !== undefined && release !== wanted) await staging.discard(staging.folderOf(release), release)
      }
    },
    async fill(wish, done, signal) {
      const found = await there(wish)
      if (found?.ok === false) return found
      const slot = found?.slot ?? (await fetched(wish, done, signal))
      if (typeof slot !== 'string') return slot
      if (await canStart(join(slots.folderOf(slot), 'node'))) return { ok: true, slot }
      return { ok: false, reason: `no program can be started from ${place.root}: is its disk mounted noexec?` }
    },
  }
}

/** Since the package's own version runs again, nobody goes back to another: 190 MB of disk each. */
async function clear({ place, slots, staging }: Pick<Options, 'place' | 'slots' | 'staging'>, wanted?: string) {
  if (place.running !== 'packaged' || slots.current() !== 'packaged' || slots.onTrial() !== undefined) return
  for (const slot of SLOTS) {
    const folder = slots.folderOf(slot)
    const held = slots.holds(slot)
    if ((held === undefined || held !== wanted) && (await exists(folder))) await staging.discard(folder, held ?? slot)
  }
}

const sumOf = (files: readonly SoftwareFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0)

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** One file may stand in several versions: its mode is only changed where it differs. */
async function setMode(path: string, mode: number): Promise<void> {
  if (((await stat(path)).mode & 0o777) !== mode) await chmod(path, mode)
}

/** Path of a file that has other bytes than its publisher signed; undefined: all are as they came. */
export async function damagedIn(folder: string, { files }: SoftwareRelease): Promise<string | undefined> {
  for (const { path, sha256, bytes } of files) {
    const found = await digestOfFile(join(folder, path), bytes).catch(() => undefined)
    if (found?.sha256 !== sha256) return path
  }
  return undefined
}

/** Where the disk lets no programs be started, a switch would only come back. */
const canStart = (node: string): Promise<boolean> =>
  access(node, constants.X_OK).then(
    () => true,
    () => false,
  )
