// Opens buffer.db: pragmas, migrations, and what happens to a file that cannot be trusted. A damaged file must not keep
// a board from working, so it is set aside under a dated name (a person may still read it) and a new one begins.
import { randomUUID } from 'node:crypto'
import { chmodSync, existsSync, renameSync } from 'node:fs'
import Database from 'better-sqlite3'
import { FIRST_PREV } from '../../broker/protocol/receipts.ts'
import { MIGRATIONS } from './migrations.ts'

export class BufferError extends Error {
  override readonly name = 'BufferError'
  readonly code: 'newer' | 'in-use' | 'not-writable'
  constructor(code: BufferError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface SetAside {
  readonly file: string
  readonly reason: 'damaged' | 'other-device'
}

export interface BufferFile {
  readonly db: Database.Database
  /** Made with the file: a board that loses its card starts a new chain. */
  readonly chain: string
  readonly setAside?: SetAside
}

const isDamage = (error: unknown): boolean =>
  error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code)

/** The file of `device`, made or migrated as needed. Throws BufferError for a newer file, one in use, an unwritable place. */
export function openBufferFile(file: string, device: string, now: () => number): BufferFile {
  const first = tryOpen(file, device)
  if (typeof first !== 'string') return first
  const aside = setAside(file, first, now())
  const second = tryOpen(file, device)
  if (typeof second === 'string')
    throw new BufferError('not-writable', `${file} is damaged again right after it was made new`)
  return { ...second, setAside: { file: aside, reason: first } }
}

function tryOpen(file: string, device: string): BufferFile | SetAside['reason'] {
  let db: Database.Database | undefined
  try {
    db = new Database(file)
    chmodSync(file, 0o600)
    prepare(db, file)
    const owner = ownerOf(db, device)
    if (owner.device === device) return { db, chain: owner.chain }
    db.close()
    return 'other-device'
  } catch (error) {
    db?.close()
    if (isDamage(error)) return 'damaged'
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY'))
      throw new BufferError('in-use', `${file} is in use: another agent runs on this folder; stop it first`, error)
    if (error instanceof Database.SqliteError)
      throw new BufferError(
        'not-writable',
        `${file} cannot be opened (${error.code}): is the folder writable and the disk not full?`,
        error,
      )
    throw error
  }
}

function prepare(db: Database.Database, file: string): void {
  // An agent that was killed a moment ago may still be going.
  db.pragma('busy_timeout = 1000')
  // One agent per folder: a second one is refused, and no commit or read pays for locks. Before the journal mode, so
  // that the index of the write-ahead log is in memory and not in a file.
  db.pragma('locking_mode = EXCLUSIVE')
  db.pragma('journal_mode = WAL')
  // FULL: an answer that was published must still be there after a power cut; commits are grouped to pay for it.
  db.pragma('synchronous = FULL')
  db.pragma('foreign_keys = ON')
  db.pragma('journal_size_limit = 4194304')
  // A small board has better uses for its memory than SQLite's default 2 MB page cache and mmap.
  db.pragma('cache_size = -512')
  if (db.pragma('quick_check(1)', { simple: true }) !== 'ok')
    throw new Database.SqliteError('quick_check failed', 'SQLITE_CORRUPT')
  migrate(db, file)
}

function migrate(db: Database.Database, file: string): void {
  const version = Number(db.pragma('user_version', { simple: true }))
  if (version > MIGRATIONS.length)
    throw new BufferError(
      'newer',
      `${file} was written by a newer agent (layout ${version}, this one knows ${MIGRATIONS.length}): update the agent`,
    )
  MIGRATIONS.slice(version).forEach((sql, index) => {
    db.transaction(() => {
      db.exec(sql)
      db.pragma(`user_version = ${version + index + 1}`)
    })()
  })
}

function ownerOf(db: Database.Database, device: string): { device: string; chain: string } {
  db.prepare('INSERT INTO file VALUES (1, :device, :chain, 0, :hash) ON CONFLICT DO NOTHING').run({
    device,
    chain: randomUUID(),
    hash: FIRST_PREV,
  })
  return (
    db.prepare<[], { device: string; chain: string }>('SELECT device, chain FROM file').get() ?? { device, chain: '' }
  )
}

function setAside(file: string, reason: SetAside['reason'], at: number): string {
  const aside = `${file}.${reason}-${new Date(at).toISOString().replaceAll(/[:.]/g, '-')}`
  for (const part of ['', '-wal', '-shm']) if (existsSync(file + part)) renameSync(file + part, aside + part)
  return aside
}
