// `bramble rewards attribute` as an operator types it, against a running console whose database came from a backup.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { Keypair } from '@solana/web3.js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { LedgerCheck } from '../../console/routes/shapes.ts'
import { adopt } from '../../console/settlement/adopt.ts'
import { PACKAGE_ROOT, startTestConsole, type TestConsole } from './running-console.ts'

let here: TestConsole
beforeAll(async () => {
  here = await startTestConsole()
})
afterAll(() => here.close())

const attribute = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const main = join(PACKAGE_ROOT, 'console/bramble.js')
    const all = [main, 'rewards', 'attribute', ...args, '--url', here.url, '--token', here.keys.token]
    const child = execFile(process.execPath, all, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out: out.trim(), err: err.trim() }),
    )
  })
const newWallet = () => Keypair.generate().publicKey.toBase58()

/** As the comparison takes in what it finds; answers the wallet. */
async function found(batch: string, units: bigint): Promise<string> {
  const wallet = newWallet()
  const transfer = {
    signature: `signature of ${batch}`,
    isOurs: true,
    memo: `bramble:${batch}`,
    atMs: Date.now(),
    blockhash: 'b',
    wire: new Uint8Array(1),
    treasuryChange: -units,
    received: [{ wallet, units }],
  }
  const taken = { now: Date.now(), chain: { markerOf: (id: string) => `marker of ${id}` } }
  await here.store.db.transaction().execute((trx) => adopt(trx, transfer, taken))
  return wallet
}

it('says whose it was, or that it is a loss, once', async () => {
  const [owners, lost] = [await found('e1-1', 70n), await found('e1-2', 30n)]
  expect(await attribute(owners)).toMatchObject({ code: 1, err: 'name either an owner or --write-off' })
  expect(await attribute(owners, 'demo', '--write-off')).toMatchObject({ code: 1 })
  expect(await attribute(owners, 'nobody')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/There is no payee nobody\.$/),
  })
  expect(await attribute(newWallet(), 'demo')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/waits to be attributed\.$/),
  })
  expect(await attribute(owners, 'demo')).toMatchObject({
    code: 0,
    out: `${owners} is demo's: 0 base units that it was owed are paid; 70 more than it was owed.`,
  })
  expect(await attribute(lost, '--write-off')).toMatchObject({ code: 0, out: `30 base units to ${lost} are a loss.` })
  expect(await attribute(lost, '--write-off')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/waits to be attributed\.$/),
  })
  expect(await (await here.call('/api/ledger/check')).json()).toMatchObject({ ok: true } satisfies Partial<LedgerCheck>)
})
