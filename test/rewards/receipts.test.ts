import { afterEach, beforeEach, expect, test } from 'vitest'
import { FIRST_PREV, hashOfBatch, type ReceiptItem, signBatch } from '../../broker/protocol/receipts.ts'
import { accounts } from '../../console/rewards/accounts.ts'
import { checkLedger } from '../../console/rewards/check.ts'
import { createReceipts, type Receipts, type ReceiptsEvent } from '../../console/rewards/receipts.ts'
import type { Store } from '../../console/store/open.ts'
import {
  addRequester,
  type Board,
  candidate,
  digestOf,
  enrol,
  type Folder,
  item,
  MODEL,
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
let a: Board
let b: Board
let receipts: Receipts
let events: ReceiptsEvent[]
let catalogue: Map<string, string>

const RUNTIME = { ort: '1.30.0', provider: 'cpu', cpu: 'x64', decoder: 'jpeg-turbo-3.0.1', flags: [] }

beforeEach(async () => {
  folder = makeFolder()
  store = await openStore(folder)
  a = await enrol(store, 'owner-a')
  b = await enrol(store, 'owner-b')
  await addRequester(store, 'req-a', 1_000_000n)
  pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  events = []
  catalogue = new Map([[`${MODEL}@1.0.0`, MODEL_DIGEST]])
  const keys = new Map([a, b].map((board) => [board.device, board.publicKey]))
  receipts = createReceipts({
    store,
    now: () => pool.clock.now,
    devicePublicKey: (device) => keys.get(device),
    modelDigest: (model) => catalogue.get(model),
    settings: { holdMs: 10_000, feeBps: 1000, royaltyBps: 500 },
    emit: (event) => events.push(event),
    log: silent,
  })
})

afterEach(async () => {
  await store.close()
  folder.remove()
})

/** One task done by board a; its ULID. */
async function doneByA(requestId: string): Promise<string> {
  await pool.offer(requestId)
  const task = pool.leasedTo(a.device).at(-1)!
  await pool.dispatcher.result(a.device, task, success(a.device, task, pool.clock.now))
  return task
}

const sign = (
  board: Board,
  items: ReceiptItem[],
  { seq = 1, prev = FIRST_PREV, chain = 'chain-1', device = board.device } = {},
) => signBatch({ device, boot: 'boot-1', chain, seq, prev, runtime: RUNTIME, items }, board.key)

/** Newest first. */
const states = async () =>
  (await store.db.selectFrom('receipts').selectAll().orderBy('id', 'desc').execute()).map((row) => [
    row.state,
    row.reason,
    row.amount_units,
  ])

const expectSound = async () => expect((await checkLedger(store.db)).checks.filter((check) => !check.ok)).toEqual([])

test('a receipt of an answered task is credited once, split between owner, operator and publisher', async () => {
  const jws = sign(a, [item(await doneByA('t1'), pool.clock.now)])
  expect(await receipts.ingest(a.device, jws)).toEqual({ ack: { chain: 'chain-1', upTo: 1 } })
  expect(await states()).toEqual([['credited', null, 85n]])
  expect(await pool.balance(accounts.pending('owner-a'))).toBe(85n)
  expect(await pool.balance(accounts.operatorFees)).toBe(10n)
  expect(await pool.balance(accounts.royalty('publisher-p'))).toBe(5n)
  expect(await pool.balance(accounts.reserved('req-a'))).toBe(0n)
  expect(events).toEqual([
    { type: 'receipts-stored', device: a.device, owner: 'owner-a', credited: 1, held: 0, rejected: 0, amount: 85n },
  ])
  await expectSound()
})

test('the same batch again, alone or at once, is only acknowledged', async () => {
  const jws = sign(a, [item(await doneByA('t1'), pool.clock.now)])
  const answers = await Promise.all([receipts.ingest(a.device, jws), receipts.ingest(a.device, jws)])
  answers.push(await receipts.ingest(a.device, jws))
  expect(answers).toEqual(Array(3).fill({ ack: { chain: 'chain-1', upTo: 1 } }))
  expect(receipts.stats()).toMatchObject({ batches: 1, repeated: 2 })
  expect(await pool.balance(accounts.pending('owner-a'))).toBe(85n)
  await expectSound()
})

test('a receipt replayed in another batch or another chain pays nothing', async () => {
  const task = await doneByA('t1')
  const first = sign(a, [item(task, pool.clock.now)])
  await receipts.ingest(a.device, first)
  await receipts.ingest(a.device, sign(a, [item(task, pool.clock.now)], { seq: 2, prev: hashOfBatch(first) }))
  await receipts.ingest(
    a.device,
    sign(a, [item(task, pool.clock.now), item(task, pool.clock.now)], { chain: 'chain-2' }),
  )
  expect((await states()).map(([state, reason]) => [state, reason])).toEqual([
    ['rejected', 'claimed-before'],
    ['rejected', 'claimed-before'],
    ['rejected', 'claimed-before'],
    ['credited', null],
  ])
  expect(await pool.balance(accounts.pending('owner-a'))).toBe(85n)
  await expectSound()
})

test('a forged batch is refused: wrong key, changed text, another device, unknown device, no JWS', async () => {
  const task = await doneByA('t1')
  const honest = sign(a, [item(task, pool.clock.now)])
  const [header, , signature] = honest.split('.')
  const otherBody = sign(a, [item(task, pool.clock.now + 1)]).split('.')[1]
  const cases: [string, string, string][] = [
    [a.device, sign(b, [item(task, pool.clock.now)], { device: a.device }), 'bad-signature'],
    [a.device, `${header}.${otherBody}.${signature}`, 'bad-signature'],
    [a.device, sign(a, [item(task, pool.clock.now)], { device: b.device }), 'wrong-device'],
    ['dev-unknown', honest, 'unknown-device'],
    [a.device, 'not a jws', 'malformed'],
  ]
  for (const [device, jws, reason] of cases) expect(await receipts.ingest(device, jws)).toEqual({ rejected: reason })
  expect(await states()).toEqual([])
  expect(await store.db.selectFrom('receipt_batches').selectAll().execute()).toEqual([])
  expect(receipts.stats().rejected).toEqual({
    'bad-signature': 2,
    'wrong-device': 1,
    'unknown-device': 1,
    malformed: 1,
  })
})

test('a receipt for a task leased to another board is rejected and the holder is still paid', async () => {
  const task = await doneByA('t1')
  expect(await receipts.ingest(b.device, sign(b, [item(task, pool.clock.now)]))).toHaveProperty('ack')
  expect(await states()).toEqual([['rejected', 'not-leased', 0n]])
  await receipts.ingest(a.device, sign(a, [item(task, pool.clock.now)]))
  expect(await pool.balance(accounts.pending('owner-a'))).toBe(85n)
  expect(await pool.balance(accounts.pending('owner-b'))).toBe(0n)
  await expectSound()
})

test('a batch with a task whose result is not in yet waits as a whole and is credited when it comes again', async () => {
  const done = await doneByA('t1')
  await pool.offer('t2')
  const open = pool.leasedTo(a.device).at(-1)!
  const jws = sign(a, [item(done, pool.clock.now), item(open, pool.clock.now)])
  expect(await receipts.ingest(a.device, jws)).toEqual({ waiting: true })
  expect(await states()).toEqual([])
  await pool.dispatcher.result(a.device, open, success(a.device, open, pool.clock.now))
  expect(await receipts.ingest(a.device, jws)).toEqual({ ack: { chain: 'chain-1', upTo: 1 } })
  expect(await pool.balance(accounts.pending('owner-a'))).toBe(170n)
})

test('a batch waits too when its lease ended and nobody else has the task, for its result is still as good', async () => {
  await pool.offer('t1')
  const task = pool.leasedTo(a.device).at(-1)!
  pool.boards.length = 0
  pool.clock.now += 30_000
  await pool.dispatcher.turn()
  const jws = sign(a, [item(task, pool.clock.now)])
  expect(await receipts.ingest(a.device, jws)).toEqual({ waiting: true })
  await pool.dispatcher.result(a.device, task, success(a.device, task, pool.clock.now))
  await receipts.ingest(a.device, jws)
  expect(await states()).toEqual([['credited', null, 85n]])
})

test('a task named twice in one batch is paid once', async () => {
  const task = await doneByA('t1')
  await receipts.ingest(a.device, sign(a, [item(task, pool.clock.now), item(task, pool.clock.now)]))
  expect(await states()).toEqual([
    ['rejected', 'claimed-before', 0n],
    ['credited', null, 85n],
  ])
  await expectSound()
})

test('work that the pool knows nothing of is recorded and pays nothing', async () => {
  await receipts.ingest(a.device, sign(a, [item('own-task-1', pool.clock.now)]))
  expect(await states()).toEqual([['credited', 'own-work', 0n]])
})

test('a receipt whose digests differ from the result, the task or the model is held, its money kept aside', async () => {
  const cases = [{ output: digestOf('x') }, { input: digestOf('x') }, { model: digestOf('x') }]
  let prev = FIRST_PREV
  for (const [index, lie] of cases.entries()) {
    const jws = sign(a, [item(await doneByA(`t${index}`), pool.clock.now, lie)], { seq: index + 1, prev })
    await receipts.ingest(a.device, jws)
    prev = hashOfBatch(jws)
  }
  catalogue.clear()
  await receipts.ingest(a.device, sign(a, [item(await doneByA('t9'), pool.clock.now)], { seq: 4, prev }))
  expect(await states()).toEqual([
    ['held', 'unknown-model', 85n],
    ['held', 'digest-mismatch', 85n],
    ['held', 'digest-mismatch', 85n],
    ['held', 'digest-mismatch', 85n],
  ])
  expect(await pool.balance(accounts.pending('owner-a'))).toBe(0n)
  expect(await pool.balance(accounts.reserved('req-a'))).toBe(400n)
  pool.clock.now += 8 * 86_400_000
  await pool.dispatcher.turn()
  expect(await pool.balance(accounts.reserved('req-a'))).toBe(400n)
  await expectSound()
})

test('a gap is answered with what is there, and a fork is refused and said to be one', async () => {
  const first = sign(a, [item(await doneByA('t1'), pool.clock.now)])
  const second = sign(a, [item(await doneByA('t2'), pool.clock.now)], { seq: 2, prev: hashOfBatch(first) })
  const third = sign(a, [item(await doneByA('t3'), pool.clock.now)], { seq: 3, prev: hashOfBatch(second) })
  expect(await receipts.ingest(a.device, second)).toEqual({ ack: { chain: 'chain-1', upTo: 0 } })
  await receipts.ingest(a.device, first)
  expect(await receipts.ingest(a.device, third)).toEqual({ ack: { chain: 'chain-1', upTo: 1 } })
  const rewritten = sign(a, [item(await doneByA('t4'), pool.clock.now)])
  expect(await receipts.ingest(a.device, rewritten)).toEqual({
    rejected: 'chain-fork',
    ack: { chain: 'chain-1', upTo: 0, forked: true },
  })
  const wrongPrev = sign(a, [item('x', pool.clock.now)], { seq: 2, prev: digestOf('another history') })
  expect(await receipts.ingest(a.device, wrongPrev)).toEqual({
    rejected: 'chain-fork',
    ack: { chain: 'chain-1', upTo: 0, forked: true },
  })
  const wrongStart = sign(a, [item('x', pool.clock.now)], { chain: 'chain-2', prev: digestOf('no beginning') })
  expect(await receipts.ingest(a.device, wrongStart)).toEqual({
    rejected: 'chain-fork',
    ack: { chain: 'chain-2', upTo: 0, forked: true },
  })
  expect(await Promise.all([second, third].map((jws) => receipts.ingest(a.device, jws)))).toEqual([
    { ack: { chain: 'chain-1', upTo: 2 } },
    { ack: { chain: 'chain-1', upTo: 3 } },
  ])
  expect(await pool.balance(accounts.pending('owner-a'))).toBe(255n)
})

test('a receipt that comes after its price went back to the requester is rejected', async () => {
  const task = await doneByA('t1')
  pool.clock.now += 7 * 86_400_000
  await pool.dispatcher.turn()
  expect(await pool.balance(accounts.budget('req-a'))).toBe(1_000_000n)
  await receipts.ingest(a.device, sign(a, [item(task, pool.clock.now)]))
  expect(await states()).toEqual([['rejected', 'too-late', 0n]])
  await expectSound()
})

test('a failed task pays nobody', async () => {
  await pool.offer('t1', { deadline: pool.clock.now + 1000 })
  const task = pool.leasedTo(a.device).at(-1)!
  pool.clock.now += 1000
  await pool.dispatcher.turn()
  await receipts.ingest(a.device, sign(a, [item(task, pool.clock.now)]))
  expect(await states()).toEqual([['rejected', 'not-leased', 0n]])
  await expectSound()
})

test('a model without a price is answered and recorded for nothing', async () => {
  await store.db.updateTable('prices').set({ price_units: 0n }).execute()
  pool = await startPool(store, pool.clock)
  pool.boards.push(candidate(a.device))
  await receipts.ingest(a.device, sign(a, [item(await doneByA('t1'), pool.clock.now)]))
  expect(await states()).toEqual([['credited', 'free-of-charge', 0n]])
  await expectSound()
})
