import { afterEach, beforeEach, expect, test } from 'vitest'
import { FIRST_PREV, hashOfBatch, signBatch } from '../../broker/protocol/receipts.ts'
import { accounts } from '../../console/rewards/accounts.ts'
import { checkLedger } from '../../console/rewards/check.ts'
import { closeEpoch } from '../../console/rewards/epochs.ts'
import { createReceipts } from '../../console/rewards/receipts.ts'
import { decideHeld } from '../../console/rewards/release.ts'
import type { Shares } from '../../console/rewards/split.ts'
import { createReceiptViews } from '../../console/routes/views/receipts.ts'
import type { Store } from '../../console/store/open.ts'
import {
  addRequester,
  type Board,
  candidate,
  digestOf,
  enrol,
  type Folder,
  item,
  MODEL_DIGEST,
  makeFolder,
  openStore,
  type Pool,
  silent,
  startPool,
  success,
} from '../market/pool.ts'

let folder: Folder
let store: Store
let pool: Pool
let board: Board
let chainEnd: { seq: number; prev: string }

const SHARES: Shares = { feeBps: 1000, royaltyBps: 500 }
const DAY_MS = 86_400_000

beforeEach(async () => {
  folder = makeFolder()
  store = await openStore(folder)
  board = await enrol(store, 'owner-a')
  await addRequester(store, 'req-a', 1_000n)
  pool = await startPool(store)
  pool.boards.push(candidate(board.device))
  chainEnd = { seq: 1, prev: FIRST_PREV }
})

afterEach(async () => {
  await store.close()
  folder.remove()
})

/** An answered task whose receipt names another output; the receipt's id. */
async function heldReceipt(name: string): Promise<number> {
  await pool.offer(name)
  const task = pool.leasedTo(board.device).at(-1)!
  await pool.dispatcher.result(board.device, task, success(board.device, task, pool.clock.now))
  const runtime = { ort: '1.30.0', provider: 'cpu', cpu: 'x64', decoder: 'd', flags: [] }
  const items = [item(task, pool.clock.now, { output: digestOf('another') })]
  const jws = signBatch({ device: board.device, boot: 'b', chain: 'c', ...chainEnd, runtime, items }, board.key)
  chainEnd = { seq: chainEnd.seq + 1, prev: hashOfBatch(jws) }
  const receipts = createReceipts({
    store,
    now: () => pool.clock.now,
    devicePublicKey: () => board.publicKey,
    modelDigest: () => MODEL_DIGEST,
    settings: { holdMs: 1_000, ...SHARES },
    emit: () => undefined,
    log: silent,
  })
  expect(await receipts.ingest(board.device, jws)).toHaveProperty('ack')
  const row = await store.db.selectFrom('receipts').select('id').orderBy('id', 'desc').executeTakeFirstOrThrow()
  return row.id
}

const decide = (receipt: number, to: 'credited' | 'forfeited', shares = SHARES) =>
  store.db
    .transaction()
    .execute((trx) => decideHeld(trx, { receipt, to, reason: 'looked at it', now: pool.clock.now, shares }))

const balances = () =>
  Promise.all(
    [
      accounts.budget('req-a'),
      accounts.reserved('req-a'),
      accounts.pending('owner-a'),
      accounts.operatorFees,
      accounts.royalty('publisher-p'),
    ].map(pool.balance),
  )

const checks = async () => (await checkLedger(store.db)).checks
const expectSound = async () => expect((await checks()).filter(({ ok }) => !ok)).toEqual([])

test('the check says that reserved money waits for a verdict', async () => {
  await heldReceipt('t1')
  await pool.offer('open')
  expect((await checks()).find(({ name }) => name === 'reserved money belongs to tasks')).toEqual({
    name: 'reserved money belongs to tasks',
    ok: true,
    detail: '100 for receipts held back until the operator decides; reserved: 200 in 1 account(s)',
  })
})

test('a released receipt is credited as any other, matures, and is counted for its board', async () => {
  const { earned } = createReceiptViews({ db: store.db, nameOf: (device) => device })
  const receipt = await heldReceipt('t1')
  expect(await balances()).toEqual([900n, 100n, 0n, 0n, 0n])
  expect((await earned()).get(board.device)).toBeUndefined()
  expect(await decide(receipt, 'credited')).toEqual({ state: 'credited', amount: 85n, owner: 'owner-a' })
  expect(await balances()).toEqual([900n, 0n, 85n, 10n, 5n])
  expect((await earned()).get(board.device)).toBe(85n)
  const row = await store.db.selectFrom('receipts').selectAll().executeTakeFirstOrThrow()
  expect(row.reason).toBe('digest-mismatch; released: looked at it')
  await expectSound()
  pool.clock.now += 1_000
  const closed = await store.db.transaction().execute((trx) => closeEpoch(trx, pool.clock.now))
  expect(closed?.owners).toEqual([{ owner: 'owner-a', amount: 85n }])
  await expectSound()
})

test('a forfeited receipt gives its price back, and the task pays nobody any more', async () => {
  const receipt = await heldReceipt('t1')
  expect(await decide(receipt, 'forfeited')).toMatchObject({ state: 'forfeited' })
  expect(await balances()).toEqual([1_000n, 0n, 0n, 0n, 0n])
  await expectSound()
  pool.clock.now += 8 * DAY_MS
  await pool.dispatcher.turn()
  expect(await balances()).toEqual([1_000n, 0n, 0n, 0n, 0n])
  await expectSound()
})

test('of two verdicts the first counts; one on a receipt that nobody holds back, or that is not there, changes nothing', async () => {
  const receipt = await heldReceipt('t1')
  await decide(receipt, 'credited')
  expect(await decide(receipt, 'forfeited')).toEqual({ refused: 'not-held', state: 'credited' })
  expect(await decide(receipt, 'credited')).toEqual({ refused: 'not-held', state: 'credited' })
  expect(await decide(99, 'credited')).toEqual({ refused: 'unknown-receipt' })
  expect(await balances()).toEqual([900n, 0n, 85n, 10n, 5n])
})

test('the owner gets what the receipt says even when the shares have changed since; the parts still add up', async () => {
  await decide(await heldReceipt('t1'), 'credited', { feeBps: 5000, royaltyBps: 5000 })
  expect(await balances()).toEqual([900n, 0n, 85n, 0n, 15n])
  await decide(await heldReceipt('t2'), 'credited', { feeBps: 0, royaltyBps: 0 })
  expect(await balances()).toEqual([800n, 0n, 170n, 15n, 15n])
  await expectSound()
})

test('nothing releases the price of a held receipt under it, and a verdict may come late', async () => {
  const receipt = await heldReceipt('t1')
  for (const days of [8, 30]) {
    pool.clock.now += days * DAY_MS
    await pool.dispatcher.turn()
    expect(await balances()).toEqual([900n, 100n, 0n, 0n, 0n])
  }
  await decide(receipt, 'credited')
  expect(await balances()).toEqual([900n, 0n, 85n, 10n, 5n])
  await expectSound()
})

test('a held receipt of a task without a price can be decided when the task is forgotten', async () => {
  await store.db.updateTable('prices').set({ price_units: 0n }).execute()
  pool = await startPool(store, pool.clock)
  pool.boards.push(candidate(board.device))
  const receipt = await heldReceipt('t1')
  await pool.settled()
  pool.clock.now += 20 * DAY_MS
  await pool.dispatcher.turn()
  expect(await store.db.selectFrom('tasks').select('id').execute()).toEqual([])
  expect(await decide(receipt, 'forfeited')).toMatchObject({ state: 'forfeited', amount: 0n })
  await expectSound()
})
