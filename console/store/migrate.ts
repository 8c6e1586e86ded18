// Brings a database up to date, one migration per transaction; PRAGMA user_version counts the steps already taken.
import type Sqlite from 'better-sqlite3'
import { StoreError } from './store-error.ts'

export function migrate(sqlite: Sqlite.Database, steps: readonly string[]): void {
  const version = Number(sqlite.pragma('user_version', { simple: true }))
  if (version > steps.length)
    throw new StoreError(
      'newer',
      sqlite.name,
      `${sqlite.name} has database version ${version}, this Bramble knows ${steps.length}: start a newer Bramble or another data folder`,
    )
  steps.slice(version).forEach((sql, index) => {
    sqlite
      .transaction(() => {
        sqlite.exec(sql)
        sqlite.pragma(`user_version = ${version + index + 1}`)
      })
      .immediate()
  })
}
