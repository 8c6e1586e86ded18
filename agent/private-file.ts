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

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'

/** The data folder, made 0700; refused with one sentence when it cannot be written. */
export function openDataFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    chmodSync(folder, 0o700)
    accessSync(folder, constants.W_OK)
  } catch (error) {
    throw new PrivateFileError(
      'not-writable',
      `${folder} cannot be written: give it to this user, or choose another folder with --data`,
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
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

function withTemporary(file: string, text: string, place: (temporary: string) => void): void {
  const temporary = join(dirname(file), `.${randomUUID()}`)
  try {
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx', flush: true })
    place(temporary)
    syncFolder(dirname(file))
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
