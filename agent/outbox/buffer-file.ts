// Opens buffer.db: pragmas, migrations, and what happens to a file that cannot be trusted. A damaged file must not keep
// a board from working, so it is set aside under a dated name (a person may still read it) and a new one begins.
import { randomUUID } from 'node:crypto'
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { FIRST_PREV } from '../../broker/protocol/receipts.ts'
import { codeOf, diskFault } from '../private-file.ts'
import { type LogFile, openLogFile, type SyncFile } from './log-file.ts'
import { MIGRATIONS, OUTBOX_READS } from './migrations.ts'
import { mayPass } from './pending.ts'
import { type SetAside, setAside } from './set-aside.ts'

export class BufferError extends Error {
  override readonly name = 'BufferError'
  readonly code: 'newer' | 'in-use' | 'not-writable' | 'damaged'
  constructor(code: BufferError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface BufferFile {
  readonly db: Database.Database
  readonly log: LogFile
  close(): void
  /** Made with the file: a board that loses its card starts a new chain. */
  readonly chain: string
  readonly setAside?: SetAside
}

/** Pages of one block of a card hold four of these: what a small commit changes then fits in one or two blocks. */
const PAGE_BYTES = 1024
/** The log is copied into the file when it has grown to this, or when there is nothing else to do. */
const LOG_BYTES = 4 * 1024 * 1024

const isDamage = (error: unknown): boolean =>
  error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code)

interface Place {
  readonly file: string
  readonly device: string
  readonly now: () => number
  readonly capBytes: number
  readonly syncFile?: SyncFile
}

/** The file of `device`, made or migrated as needed. Throws BufferError for a newer file, one in use, an unwritable place. */
export function openBufferFile(place: Place): BufferFile {
  const { file, now, capBytes } = place
  const first = tryOpen(place)
  if (typeof first !== 'string') return first
  const aside = setAside(file, first, now(), capBytes)
  rmSync(suspectOf(file), { force: true })
  const second = tryOpen(place)
  if (typeof second === 'string')
    throw new BufferError('not-writable', `${file} is damaged again right after it was made new`)
  return { ...second, setAside: aside }
}

const suspectOf = (file: string): string => `${file}.suspect`

/** A card that reads wrong once a year is no bad card. */
const SUSPECTED_MS = 7 * 86_400_000

/** undefined, `once`, or `again`: how often the file was found damaged lately while it was in use. */
function suspicionOf(file: string, at: number): string | undefined {
  try {
    const suspect = suspectOf(file)
    return at - statSync(suspect).mtimeMs > SUSPECTED_MS ? undefined : readFileSync(suspect, 'utf8')
  } catch {
    return undefined
  }
}

/**
 * For an error met while the file was in use: a BufferError when it speaks of damage, which is noted for the next start.
 * A bad card sometimes reads wrong only once, so that start looks at every page and keeps a file that is whole; a second
 * time within a week it is not trusted any more.
 */
export function damageOf(file: string, error: unknown, at: number): BufferError | undefined {
  if (!isDamage(error)) return undefined
  try {
    writeFileSync(suspectOf(file), suspicionOf(file, at) === undefined ? 'once' : 'again', { mode: 0o600, flush: true })
  } catch {
    // Nothing can be written either: the next start finds that out by itself.
  }
  return new BufferError('damaged', `${file} was found damaged while in use: the next start looks at all of it`, error)
}

function tryOpen({ file, device, now, syncFile }: Place): BufferFile | SetAside['reason'] {
  let db: Database.Database | undefined
  let log: LogFile | undefined
  const suspicion = suspicionOf(file, now())
  function close(): void {
    try {
      // SQLite copies the log into the file when it closes it: what it lacks on disk must not be there alone.
      log?.makeSure()
    } catch {
      // The file is on the same disk.
    }
    log?.close()
    db?.close()
  }
  try {
    db = new Database(file)
    chmodSync(file, 0o600)
    prepare(db, suspicion === undefined ? 'quick_check' : 'integrity_check')
    // Not before: while another agent has the file, nothing may be written there.
    log = openLogFile(file, db, syncFile)
    log.makeSure()
    migrate(db, file)
    forgetOrigins(db)
    const owner = ownerOf(db, device)
    if (owner.device === device && suspicion !== 'again') return { db, log, close, chain: owner.chain }
    close()
    return suspicion === 'again' ? 'damaged' : 'other-device'
  } catch (error) {
    close()
    if (isDamage(error)) return 'damaged'
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY'))
      throw new BufferError('in-use', `${file} is in use: another agent runs on this folder; stop it first`, error)
    throw unwritable(file, error) ?? error
  }
}

/** For an error of the disk while the agent starts. */
const unwritable = (file: string, error: unknown): BufferError | undefined =>
  error instanceof Database.SqliteError || diskFault(error) !== undefined
    ? new BufferError(
        'not-writable',
        `${file} cannot be written: ${diskFault(error) ?? `${codeOf(error)}; is the folder writable?`}`,
        error,
      )
    : undefined

function prepare(db: Database.Database, check: 'quick_check' | 'integrity_check'): void {
  // An agent that was killed a moment ago may still be going.
  db.pragma('busy_timeout = 1000')
  // One agent per folder: a second one is refused, and no commit or read pays for locks. Before the journal mode, so
  // that the index of the write-ahead log is in memory and not in a file.
  db.pragma('locking_mode = EXCLUSIVE')
  // Of a new file; an older one keeps its own.
  db.pragma(`page_size = ${PAGE_BYTES}`)
  db.pragma('journal_mode = WAL')
  // FULL: what was committed must still be there after a power cut. Only answers are committed without waiting for it
  // (buffer.ts, write), and are not published before it is so.
  db.pragma('synchronous = FULL')
  db.pragma('foreign_keys = ON')
  db.pragma(`journal_size_limit = ${LOG_BYTES}`)
  db.pragma(`wal_autocheckpoint = ${LOG_BYTES / Number(db.pragma('page_size', { simple: true }))}`)
  // A small board has better uses for its memory than SQLite's default 2 MB page cache and mmap.
  db.pragma('cache_size = -512')
  if (db.pragma(`${check}(1)`, { simple: true }) !== 'ok')
    throw new Database.SqliteError(`${check} failed`, 'SQLITE_CORRUPT')
}

/** Each start adds to them. Of those before only what receipts still name is kept: one more fault of the disk matters no more here. */
function forgetOrigins(db: Database.Database): void {
  // Else each that goes would be looked for in all results.
  db.pragma('foreign_keys = OFF')
  try {
    db.exec('DELETE FROM origins WHERE id NOT IN (SELECT origin FROM results WHERE origin IS NOT NULL)')
  } catch (error) {
    if (!mayPass(error)) throw error
  }
  db.pragma('foreign_keys = ON')
}

function migrate(db: Database.Database, file: string): void {
  const version = Number(db.pragma('user_version', { simple: true }))
  if (version > OUTBOX_READS)
    throw new BufferError(
      'newer',
      `${file} was written by a newer agent (layout ${version}, this one knows ${OUTBOX_READS}): update the agent`,
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
