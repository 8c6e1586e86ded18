// `bramble ledger check`: the invariants of the money, from the database alone; a running console is not disturbed.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { checkLedger } from '../rewards/check.ts'
import { openDatabase } from '../store/open.ts'
import { StoreError } from '../store/store-error.ts'

export async function checkData(data: string): Promise<{ ok: boolean; text: string }> {
  const file = join(data, 'console.db')
  if (!existsSync(file))
    throw new StoreError('not-writable', file, `there is no database at ${file}: name the data folder with --data`)
  const store = await openDatabase(file)
  try {
    const { ok, checks } = await checkLedger(store.db)
    const lines = checks.map((check) => `${check.ok ? 'ok    ' : 'FAULT '} ${check.name}: ${check.detail}`)
    return { ok, text: [...lines, ok ? 'The ledger is clean.' : 'The ledger does NOT add up.'].join('\n') }
  } finally {
    await store.close()
  }
}
