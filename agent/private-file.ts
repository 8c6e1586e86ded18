// Files that only the agent's user may read: the key, the credential, the buffer's folder.
import { randomUUID } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

export class PrivateFileError extends Error {
  override readonly name = 'PrivateFileError'
  readonly code: 'too-open' | 'unreadable' | 'not-writable'
  constructor(code: PrivateFileError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)
const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT'

const FULL = 'its disk is full; make room'
const DISK_FAULTS: Readonly<Record<string, string>> = {
  EROFS: 'its disk is read-only; look at the card (dmesg), then mount it for writing',
  ENOSPC: FULL,
  SQLITE_FULL: FULL,
  EDQUOT: "this user's share of the disk is full; make room",
  EIO: 'its disk reports errors; look at the card (dmesg)',
}

/** Why a disk takes nothing, and what to do; undefined when it is not the disk. Errors of the system and of SQLite. */
export function diskFault(error: unknown): string | undefined {
  const code = String(codeOf(error))
  return DISK_FAULTS[code.startsWith('SQLITE_IOERR') ? 'EIO' : code]
}

/** The data folder, made 0700; refused with one sentence when it cannot be written. */
export function openDataFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    chmodSync(folder, 0o700)
    accessSync(folder, constants.W_OK)
  } catch (error) {
    throw new PrivateFileError(
      'not-writable',
      `${folder} cannot be written: ${diskFault(error) ?? 'give it to this user, or choose another folder with --data'}`,
      error,
    )
  }
}

/** The text of a private file, undefined when there is none. One that others may read is refused: it may be copied already. */
export function readPrivate(file: string): string | undefined {
  try {
    const mode = statSync(file).mode & 0o777
    if ((mode & 0o077) !== 0)
      throw new PrivateFileError(
        'too-open',
        `${file} has mode ${mode.toString(8).padStart(4, '0')}, so others can read this secret: chmod 600 it, or delete it and enrol again`,
      )
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof PrivateFileError) throw error
    if (isMissing(error)) return undefined
    throw new PrivateFileError('unreadable', `${file} cannot be read by this user`, error)
  }
}

/** Replaces the file at once or not at all, also when the power goes. */
export function writePrivate(file: string, text: string): void {
  withTemporary(file, text, (temporary) => renameSync(temporary, file))
}

/** Writes the file unless there is one; false when there is. Two first runs at once agree on one key. */
export function createPrivate(file: string, text: string): boolean {
  try {
    withTemporary(file, text, (temporary) => linkSync(temporary, file))
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

const TEMPORARY = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Removes what a kill in the middle of a write left in `folder`. Only while nobody writes there. */
export function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) if (TEMPORARY.test(name)) rmSync(join(folder, name), { force: true })
}

function withTemporary(file: string, text: string, place: (temporary: string) => void): void {
  const temporary = join(dirname(file), `.${randomUUID()}`)
  try {
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx', flush: true })
    place(temporary)
    syncFolder(dirname(file))
  } catch (error) {
    const fault = diskFault(error)
    if (fault === undefined) throw error
    throw new PrivateFileError('not-writable', `${file} cannot be written: ${fault}`, error)
  } finally {
    rmSync(temporary, { force: true })
  }
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
