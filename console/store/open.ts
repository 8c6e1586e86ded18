// Opens the console's SQLite database: pragmas, checks, migrations, and Kysely over it.
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { Kysely, type SqliteDatabase, SqliteDialect, type SqliteStatement } from 'kysely'
import { integersPlugin } from './integers.ts'
import { migrate } from './migrate.ts'
import { MIGRATIONS } from './migrations.ts'
import type { Database } from './schema.ts'
import { StoreError } from './store-error.ts'

export interface Store {
  readonly file: string
  readonly db: Kysely<Database>
  close(): Promise<void>
}

const BUSY_TIMEOUT_MS = 5000
/** Statements differ by the number of rows they insert, so the cache has an end. */
const MAX_STATEMENTS = 500
/** The write-ahead log is cut back to this after a checkpoint: a burst of frames must not occupy the disk for good. */
const WAL_LIMIT_BYTES = 64 * 1024 * 1024

/** What Kysely needs of a driver, with statements kept prepared and write transactions taken up front. */
function driverOf(sqlite: Sqlite.Database): SqliteDatabase {
  const statements = new Map<string, SqliteStatement>()
  return {
    close: () => {
      statements.clear()
      sqlite.close()
    },
    prepare(sql) {
      const known = statements.get(sql)
      if (known) return known
      if (statements.size >= MAX_STATEMENTS) statements.clear()
      // A deferred transaction that turns into a writer fails at once when another process wrote meanwhile;
      // an immediate one waits for its turn.
      const statement = sqlite.prepare(sql === 'begin' ? 'begin immediate' : sql)
      statements.set(sql, statement)
      return statement
    },
  }
}

function prepareDatabase(file: string): Sqlite.Database {
  mkdirSync(dirname(file), { recursive: true })
  const sqlite = new Sqlite(file)
  try {
    sqlite.defaultSafeIntegers(true)
    sqlite.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
    sqlite.pragma('journal_mode = WAL')
    sqlite.pragma('synchronous = FULL')
    sqlite.pragma('foreign_keys = ON')
    sqlite.pragma(`journal_size_limit = ${WAL_LIMIT_BYTES}`)
    const verdict = sqlite.pragma('quick_check(1)', { simple: true })
    if (verdict !== 'ok') throw new StoreError('damaged', file, damaged(file, String(verdict)))
    migrate(sqlite, MIGRATIONS)
    return sqlite
  } catch (error) {
    sqlite.close()
    throw error
  }
}

const damaged = (file: string, detail: string): string =>
  `${file} is damaged (${detail.replace(/\s+/g, ' ').trim()}): restore it from a backup, or move it away to start empty`

const DAMAGE_CODES = /^SQLITE_(CORRUPT|NOTADB)/
const WRITE_CODES = /^(SQLITE_(CANTOPEN|READONLY|PERM|IOERR|FULL)|EACCES|EPERM|EROFS|ENOTDIR|EEXIST|ENOENT|ENOSPC)/

/** A fault of the file or its folder as a StoreError; anything else (a bug) as it is. */
function explain(file: string, error: unknown): unknown {
  if (error instanceof StoreError || !(error instanceof Error)) return error
  const code = 'code' in error ? String(error.code) : ''
  if (DAMAGE_CODES.test(code)) return new StoreError('damaged', file, damaged(file, error.message), error)
  if (!WRITE_CODES.test(code)) return error
  const message = `cannot write ${file} (${error.message}): check that the folder exists and belongs to this user, or choose another with --data`
  return new StoreError('not-writable', file, message, error)
}

/** Rejects with StoreError `damaged`, `newer` or `not-writable`. The parent folder is made when absent. */
export async function openDatabase(file: string): Promise<Store> {
  try {
    const sqlite = prepareDatabase(file)
    const db = new Kysely<Database>({
      dialect: new SqliteDialect({ database: driverOf(sqlite) }),
      plugins: [integersPlugin],
    })
    return {
      file,
      db,
      close: async () => {
        await db.destroy()
        // Kysely closes only what it has used.
        if (sqlite.open) sqlite.close()
      },
    }
  } catch (error) {
    throw explain(file, error)
  }
}
