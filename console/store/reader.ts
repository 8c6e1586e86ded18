// A second, read-only connection to a database that is open already: for a worker thread, whose long reads then hold up
// nobody. It checks and migrates nothing.
import Sqlite from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'
import { integersPlugin } from './integers.ts'
import type { Database } from './schema.ts'

export function openReader(file: string): Kysely<Database> {
  const sqlite = new Sqlite(file, { readonly: true, fileMustExist: true })
  sqlite.defaultSafeIntegers(true)
  return new Kysely<Database>({ dialect: new SqliteDialect({ database: sqlite }), plugins: [integersPlugin] })
}
