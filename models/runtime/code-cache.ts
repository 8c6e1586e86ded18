// The folder of Node's compiled code, which makes starts quicker: used only where a disk has room to spare.
import { readdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'

/** Several times what the code of agent and inference host takes: on a disk this full, answers need what is left. */
const ROOM_BYTES = 32 * 1024 * 1024

/** Node writes `1c94e4e9.HeO4d3`, then renames it to `1c94e4e9`; what it could not write whole, it leaves there. */
const LEFTOVER = /^[0-9a-f]+\.\w+$/

/** One folder per release of Node and set of its flags: `v24.20.0-x64-1c717fce-0`. */
const RELEASE = /^v\d+\.\d+\.\d+\S*-[0-9a-f]+-\d+$/

/** Whether compiled code may be kept in `folder`, which need not be there; its disk is that of `data`, which must. */
export function openCodeCache(folder: string, data: string): boolean {
  tidy(folder)
  const { bavail, bsize } = statfsSync(data)
  return bavail * bsize >= ROOM_BYTES
}

/** A board updates itself for years, each time to another Node. A cache must not keep it from starting: faults are passed over. */
function tidy(folder: string): void {
  try {
    for (const name of readdirSync(folder).filter((one) => RELEASE.test(one))) {
      const release = join(folder, name)
      if (!name.startsWith(`${process.version}-`)) rmSync(release, { recursive: true, force: true })
      else
        for (const file of readdirSync(release)) if (LEFTOVER.test(file)) rmSync(join(release, file), { force: true })
    }
  } catch {
    // Not there yet, or on a disk that is read-only.
  }
}
