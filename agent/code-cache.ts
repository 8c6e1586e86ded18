// The folder of Node's compiled code, which makes starts quicker: used only where a disk has room to spare.
import { readdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'

/** Several times what the code of agent and inference host takes: on a disk this full, answers need what is left. */
const ROOM_BYTES = 32 * 1024 * 1024

/** Node writes `1c94e4e9.HeO4d3`, then renames it to `1c94e4e9`; what it could not write whole, it leaves there. */
const LEFTOVER = /^[0-9a-f]+\.\w+$/

/** Whether compiled code may be kept in `folder`, which need not be there; its disk is that of `data`, which must. */
export function openCodeCache(folder: string, data: string): boolean {
  removeLeftovers(folder)
  const { bavail, bsize } = statfsSync(data)
  return bavail * bsize >= ROOM_BYTES
}

/** One folder per release of Node and set of its flags. A cache must not keep a board from starting: faults are passed over. */
function removeLeftovers(folder: string): void {
  try {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
      if (entry.isFile() && LEFTOVER.test(entry.name)) rmSync(join(entry.parentPath, entry.name), { force: true })
  } catch {
    // Not there yet, or on a disk that is read-only.
  }
}
