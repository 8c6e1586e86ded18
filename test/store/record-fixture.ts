// Records a small database of the present version as console-vN.db.gz, for open.test.ts to open ever after:
// node test/store/record-fixture.ts
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import Sqlite from 'better-sqlite3'
import { MIGRATIONS } from '../../console/store/migrations.ts'
import { openDatabase } from '../../console/store/open.ts'

const folder = mkdtempSync(join(tmpdir(), 'bramble-fixture-'))
const file = join(folder, 'console.db')
const { db, close } = await openDatabase(file)
await db.insertInto('owners').values({ id: 'owner-a', name: 'Ada', created_at: 1_700_000_000_000 }).execute()
await db
  .insertInto('requesters')
  .values({ id: 'req-a', name: 'gate camera', key_hash: 'hash', owner_id: 'owner-a', created_at: 1_700_000_000_001 })
  .execute()
await db
  .insertInto('accounts')
  .values({ id: 'outside', kind: 'outside', balance_units: -(2n ** 60n + 1n) })
  .execute()
await db
  .insertInto('accounts')
  .values({ id: 'budget:req-a', kind: 'budget', balance_units: 2n ** 60n + 1n })
  .execute()
await db
  .insertInto('transfers')
  .values({
    at: 1_700_000_000_002,
    kind: 'deposit',
    ref: 'first',
    from_account: 'outside',
    to_account: 'budget:req-a',
    amount_units: 2n ** 60n + 1n,
  })
  .execute()
await close()

const sqlite = new Sqlite(file)
sqlite.pragma('journal_mode = DELETE')
sqlite.exec('VACUUM')
sqlite.close()
const target = new URL(`fixtures/console-v${MIGRATIONS.length}.db.gz`, import.meta.url)
writeFileSync(target, gzipSync(readFileSync(file), { level: 9 }))
rmSync(folder, { recursive: true })
