import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import Sqlite from 'better-sqlite3'
import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { checkLedger } from '../../console/rewards/check.ts'
import { balanceOf } from '../../console/rewards/ledger.ts'
import { MIGRATIONS } from '../../console/store/migrations.ts'
import { openDatabase } from '../../console/store/open.ts'
import {
  PAYOUT_MOVES,
  RECEIPT_MOVES,
  ROLLOUT_MOVES,
  TABLE_MOVES,
  TASK_MOVES,
  TRY_STATES,
} from '../../console/store/states.ts'
import { StoreError } from '../../console/store/store-error.ts'
import { type Folder, makeFolder } from '../market/pool.ts'

let folder: Folder

beforeEach(() => {
  folder = makeFolder()
})

afterEach(() => folder.remove())

/** The statements that made the database, as SQLite keeps them. */
function schemaOf(file: string): unknown[] {
  const sqlite = new Sqlite(file, { readonly: true })
  const rows = sqlite.prepare('select type, name, sql from sqlite_schema where sql is not null order by name').all()
  sqlite.close()
  return rows
}

test('a new database has every table, its pragmas and the version of the migrations', async () => {
  const file = join(folder.path, 'a', 'new', 'console.db')
  const store = await openDatabase(file)
  const pragma = async (name: string) =>
    Object.values((await sql.raw(`pragma ${name}`).execute(store.db)).rows[0] as object)
  expect(await pragma('journal_mode')).toEqual(['wal'])
  expect(await pragma('synchronous')).toEqual([2])
  expect(await pragma('foreign_keys')).toEqual([1])
  expect(await pragma('user_version')).toEqual([MIGRATIONS.length])
  await store.close()
})

test('money comes back as exact bigint and every other integer as number', async () => {
  const store = await openDatabase(folder.file)
  const units = 2n ** 53n + 1n
  await store.db.insertInto('accounts').values({ id: 'outside', kind: 'outside', balance_units: units }).execute()
  await store.db.insertInto('owners').values({ id: 'o', name: 'o', created_at: 1_795_000_000_000 }).execute()
  expect(await store.db.selectFrom('accounts').selectAll().executeTakeFirst()).toMatchObject({ balance_units: units })
  expect(await store.db.selectFrom('owners').selectAll().executeTakeFirst()).toMatchObject({
    created_at: 1_795_000_000_000,
  })
  const misnamed = store.db.selectFrom('accounts').select('balance_units as total').execute()
  await expect(misnamed).rejects.toThrow('does not fit a number')
  await store.close()
})

test('the states in the tables are those of the lifecycles', () => {
  const listed = (table: string): string[] => {
    const [, statement] = MIGRATIONS.join('\n').split(new RegExp(`CREATE TABLE ${table} \\(`))
    const [, states] = /state TEXT NOT NULL CHECK \(state IN \(([^)]*)\)\)/.exec(statement ?? '') ?? []
    return [...(states ?? '').matchAll(/'([^']+)'/g)].map(([, state]) => state!)
  }
  expect(listed('tasks')).toEqual(Object.keys(TASK_MOVES))
  expect(listed('receipts')).toEqual(Object.keys(RECEIPT_MOVES))
  expect(listed('payout_batches')).toEqual(Object.keys(PAYOUT_MOVES))
  expect(listed('software_rollouts').sort()).toEqual(Object.keys(ROLLOUT_MOVES).sort())
  expect(listed('software_tries')).toEqual([...TRY_STATES])
  expect(listed('lookup_tables')).toEqual(Object.keys(TABLE_MOVES))
})

const fixtures = new URL('fixtures/', import.meta.url)

test.each(readdirSync(fixtures))('%s opens, keeps its rows and becomes the present schema', async (name) => {
  writeFileSync(folder.file, gunzipSync(readFileSync(new URL(name, fixtures))))
  const store = await openDatabase(folder.file)
  expect(await balanceOf(store.db, accounts.budget('req-a'))).toBe(2n ** 60n + 1n)
  expect(await checkLedger(store.db)).toMatchObject({ ok: true })
  await store.close()
  const fresh = join(folder.path, 'fresh.db')
  await (await openDatabase(fresh)).close()
  expect(schemaOf(folder.file)).toEqual(schemaOf(fresh))
})

test('every version that was shipped has its fixture', () => {
  expect(readdirSync(fixtures).sort()).toEqual(MIGRATIONS.map((_, index) => `console-v${index + 1}.db.gz`).sort())
})

const codeOf = async (file: string): Promise<StoreError> => {
  const error = await openDatabase(file).then(
    async (store) => {
      await store.close()
      return undefined
    },
    (fault: unknown) => fault,
  )
  if (!(error instanceof StoreError)) throw new Error(`opened, or failed otherwise: ${error}`)
  return error
}

test('a database of a newer version is refused and left as it is', async () => {
  await (await openDatabase(folder.file)).close()
  const sqlite = new Sqlite(folder.file)
  sqlite.pragma(`user_version = ${MIGRATIONS.length + 1}`)
  sqlite.close()
  const error = await codeOf(folder.file)
  expect(error).toMatchObject({ code: 'newer', message: expect.stringContaining(folder.file) })
})

test('a file that is no database, or one with damaged pages, is refused by name', async () => {
  const other = join(folder.path, 'other.db')
  writeFileSync(other, 'this is a letter, not a database. '.repeat(500))
  expect(await codeOf(other)).toMatchObject({ code: 'damaged', message: expect.stringContaining(other) })

  const store = await openDatabase(folder.file)
  for (let i = 0; i < 200; i++)
    await store.db
      .insertInto('meta')
      .values({ key: `key ${i}`, value: 'v'.repeat(500) })
      .execute()
  await store.close()
  const bytes = readFileSync(folder.file)
  bytes.fill(0xa5, statSync(folder.file).size >> 1, (statSync(folder.file).size >> 1) + 16_384)
  writeFileSync(folder.file, bytes)
  expect(await codeOf(folder.file)).toMatchObject({ code: 'damaged', message: expect.stringContaining(folder.file) })
})

test('a place that cannot be written is refused by name', async () => {
  writeFileSync(join(folder.path, 'a-file'), '')
  for (const place of [join(folder.path, 'a-file', 'console.db'), '/sys/nowhere/console.db', folder.path])
    expect(await codeOf(place)).toMatchObject({ code: 'not-writable', message: expect.stringContaining(place) })
})

test('a transaction that fails leaves nothing, and the next one works', async () => {
  const store = await openDatabase(folder.file)
  const insert = (key: string, fails: boolean) =>
    store.db.transaction().execute(async (trx) => {
      await trx.insertInto('meta').values({ key, value: '' }).execute()
      if (fails) throw new Error('on purpose')
    })
  await expect(insert('a', true)).rejects.toThrow('on purpose')
  await insert('b', false)
  expect(await store.db.selectFrom('meta').select('key').execute()).toEqual([{ key: 'b' }])
  await store.close()
})

test('two consoles on one file wait for each other instead of failing', async () => {
  const [one, two] = [await openDatabase(folder.file), await openDatabase(folder.file)]
  for (const [index, store] of [one, two, one, two].entries())
    await store.db.transaction().execute(async (trx) => {
      await trx.selectFrom('meta').selectAll().execute()
      await trx
        .insertInto('meta')
        .values({ key: String(index), value: '' })
        .execute()
    })
  expect(await one.db.selectFrom('meta').select('key').execute()).toHaveLength(4)
  await one.close()
  await two.close()
})
