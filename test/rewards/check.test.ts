import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FIRST_PREV, signBatch } from '../../broker/protocol/receipts.ts'
import { accounts } from '../../console/rewards/accounts.ts'
import { checkLedger } from '../../console/rewards/check.ts'
import { closeEpoch, openEpoch } from '../../console/rewards/epochs.ts'
import { post } from '../../console/rewards/ledger.ts'
import { createReceipts } from '../../console/rewards/receipts.ts'
import type { Store } from '../../console/store/open.ts'
import {
  addRequester,
  type Board,
  candidate,
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
let a: Board

const HOLD_MS = 10_000

/** A ledger in the middle of its life: one owner paid, one in payout, one pending, a task open. */
beforeEach(async () => {
  folder = makeFolder()
  store = await openStore(folder)
  a = await enrol(store, 'owner-a')
  await addRequester(store, 'req-a', 10_000n)
  pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await creditTasks(1, 3)
  pool.clock.now += HOLD_MS
  await store.db.transaction().execute((trx) => closeEpoch(trx, pool.clock.now))
  await payout('payout-1', 100n, 'finalized')
  await payout('payout-2', 50n, 'sent')
  await creditTasks(2, 1)
  await pool.offer('open')
})

afterEach(async () => {
  await store.close()
  folder.remove()
})

async function creditTasks(seq: number, count: number): Promise<void> {
  const items = []
  for (let i = 0; i < count; i++) {
    await pool.offer(`t${seq}-${i}`)
    const task = pool.leasedTo(a.device).at(-1)!
    await pool.dispatcher.result(a.device, task, success(a.device, task, pool.clock.now))
    items.push(item(task, pool.clock.now))
  }
  const runtime = { ort: '1.30.0', provider: 'cpu', cpu: 'x64', decoder: 'd', flags: [] }
  const chain = `chain-${seq}`
  const jws = signBatch({ device: a.device, boot: 'b', chain, seq: 1, prev: FIRST_PREV, runtime, items }, a.key)
  const receipts = createReceipts({
    store,
    now: () => pool.clock.now,
    devicePublicKey: () => a.publicKey,
    modelDigest: () => MODEL_DIGEST,
    settings: { holdMs: HOLD_MS, feeBps: 1000, royaltyBps: 500 },
    emit: () => undefined,
    log: silent,
  })
  expect(await receipts.ingest(a.device, jws)).toHaveProperty('ack')
}

async function payout(id: string, amount: bigint, state: 'sent' | 'finalized'): Promise<void> {
  await store.db.transaction().execute(async (trx) => {
    const [payable, inPayout] = [accounts.payable('owner-a'), accounts.inPayout('owner-a')]
    await post(trx, [{ kind: 'payout', ref: id, from: payable, to: inPayout, amount, at: 0 }])
    if (state === 'finalized')
      await post(trx, [{ kind: 'paid', ref: id, from: inPayout, to: accounts.paid('owner-a'), amount, at: 0 }])
    const times = { created_at: 0, updated_at: 0 }
    await trx
      .insertInto('payout_batches')
      .values({ id, epoch_id: 1, state, memo: id, marker_lamports: 0, ...times })
      .execute()
    await trx
      .insertInto('payouts')
      .values({ id: `${id}/1`, batch_id: id, payee: 'owner-a', wallet: 'w', amount_units: amount, rent_lamports: 0 })
      .execute()
  })
}

const failing = async (units?: bigint, landed: readonly string[] = []) =>
  (await checkLedger(store.db, units === undefined ? {} : { holdings: { units, landed } })).checks
    .filter((check) => !check.ok)
    .map((check) => check.name)

test('a ledger in the middle of its life is sound', async () => {
  const report = await checkLedger(store.db, { holdings: { units: 10_000n, landed: [] } })
  expect(report.checks.filter((check) => !check.ok)).toEqual([])
  expect(report.ok).toBe(true)
  expect(report.checks).toHaveLength(15)
})

test('closing an epoch makes payable what has left the hold, once, and an empty epoch stays open', async () => {
  expect(await pool.balance(accounts.payable('owner-a'))).toBe(3n * 85n - 150n)
  expect(await pool.balance(accounts.pending('owner-a'))).toBe(85n)
  const close = () => store.db.transaction().execute((trx) => closeEpoch(trx, pool.clock.now))
  expect(await close()).toBeUndefined()
  expect(await store.db.transaction().execute((trx) => openEpoch(trx, pool.clock.now))).toBe(2)
  pool.clock.now += HOLD_MS
  expect(await close()).toEqual({ epoch: 2, owners: [{ owner: 'owner-a', amount: 85n }] })
  expect(await close()).toBeUndefined()
  expect(await pool.balance(accounts.pending('owner-a'))).toBe(0n)
  expect(await failing()).toEqual([])
})

const CORRUPTIONS: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a balance edited by hand',
    `update accounts set balance_units = balance_units + 1 where id = 'budget:req-a'`,
    ['balances equal their transfers', 'what came in is all accounted for'],
  ],
  [
    'money moved between two balances',
    `update accounts set balance_units = balance_units + case id when 'pending:owner-a' then 1 else -1 end
     where id in ('pending:owner-a', 'budget:req-a')`,
    ['balances equal their transfers', 'pending money belongs to receipts in the hold'],
  ],
  [
    'a transfer that vanished',
    `delete from transfers where id = (select max(id) from transfers where kind = 'earn')`,
    ['balances equal their transfers', 'earnings equal credited receipts'],
  ],
  [
    'a transfer made larger',
    `update transfers set amount_units = amount_units + 1 where kind = 'deposit'`,
    ['balances equal their transfers', 'what came in is all accounted for'],
  ],
  [
    'a receipt credited without its transfer',
    `update receipts set amount_units = amount_units + 1 where id = 1`,
    [
      'earnings equal credited receipts',
      'each epoch made payable what its receipts say',
      'epochs hold the receipts that they committed to',
    ],
  ],
  [
    'a receipt that was never credited',
    `delete from receipts where id = (select max(id) from receipts)`,
    ['earnings equal credited receipts', 'pending money belongs to receipts in the hold'],
  ],
  [
    'a task that lost its reservation',
    `update tasks set settled_at = 1 where settled_at is null`,
    ['reserved money belongs to tasks'],
  ],
  [
    'a task paid by two receipts',
    `update receipts set task_id = (select task_id from receipts where id = 2) where id = 1`,
    ['epochs hold the receipts that they committed to', 'no task is paid twice'],
  ],
  [
    'a payout marked final too early',
    `update payout_batches set state = 'finalized'`,
    ['money in payout belongs to open payouts', 'paid money belongs to finalized payouts'],
  ],
  [
    'a payout that vanished',
    `delete from payouts where batch_id = 'payout-2'`,
    ['money in payout belongs to open payouts'],
  ],
  [
    'money that left the ledger',
    `update transfers set to_account = 'outside' where kind = 'fee' and id = (select min(id) from transfers where kind = 'fee')`,
    ['balances equal their transfers', 'money enters where it may, and none leaves'],
  ],
  [
    'an entry to an account that none may go to',
    `update transfers set kind = 'grant' where kind = 'reserve' and id = (select min(id) from transfers where kind = 'reserve')`,
    ['what came in is all accounted for', 'money enters where it may, and none leaves'],
  ],
  [
    'a held receipt whose price was given back',
    `update receipts set state = 'held', epoch_id = null where id = 1`,
    [
      'held receipts keep their price',
      'earnings equal credited receipts',
      'each epoch made payable what its receipts say',
      'epochs hold the receipts that they committed to',
    ],
  ],
  [
    'a receipt slipped into a closed epoch',
    `update receipts set epoch_id = 1 where epoch_id is null`,
    [
      'pending money belongs to receipts in the hold',
      'each epoch made payable what its receipts say',
      'epochs hold the receipts that they committed to',
    ],
  ],
  [
    'a receipt of a closed epoch that was changed afterwards',
    `update receipts set output_digest = input_sha256 where id = 1`,
    ['epochs hold the receipts that they committed to'],
  ],
  [
    'an epoch that lost its receipts',
    `update receipts set epoch_id = null where epoch_id = 1`,
    [
      'pending money belongs to receipts in the hold',
      'each epoch made payable what its receipts say',
      'epochs hold the receipts that they committed to',
    ],
  ],
  [
    'a head that was exchanged',
    `update epochs set head = root where id = 1`,
    ['epochs hold the receipts that they committed to'],
  ],
  [
    'a deposit that is called credited and was not',
    `insert into deposits (signature, account, requester_id, mint, amount_units, slot, at, state, seen_at)
      values ('s', 'a', 'req-a', 'm', 5, 1, 1, 'credited', 1)`,
    ['deposits are credited once and in full'],
  ],
  [
    'a root that was exchanged',
    `update epochs set root = replace(root, substr(root, 1, 1), case substr(root, 1, 1) when 'a' then 'b' else 'a' end) where id = 1`,
    ['epochs hold the receipts that they committed to'],
  ],
]

test.each(CORRUPTIONS)('the check finds %s', async (_, statement, expected) => {
  expect(await failing()).toEqual([])
  await sql.raw('drop index receipts_paid_once').execute(store.db)
  await sql.raw(statement).execute(store.db)
  expect(await failing()).toEqual(expected)
})

test('an overdrawn account is found even where the table would forbid it', async () => {
  await sql.raw('pragma ignore_check_constraints = 1').execute(store.db)
  await sql.raw(`update accounts set balance_units = -1 where id = 'payable:owner-a'`).execute(store.db)
  expect(await failing()).toContain('no account is overdrawn')
})

test('a treasury that holds less than is owed is found', async () => {
  // Deposits less the operator's fees and what is paid: what is in a payout is owed until it has left.
  const owed = 10_000n - 40n - 100n
  const short = ['the treasury covers what is owed']
  expect(await failing(owed)).toEqual([])
  expect(await failing(owed - 1n)).toEqual(short)
  await store.db.updateTable('payout_batches').set({ marker: 'marker-2' }).where('id', '=', 'payout-2').execute()
  expect(await failing(owed - 50n, ['marker-1'])).toEqual(short)
  expect(await failing(owed - 50n, ['marker-1', 'marker-2']), 'it was seen to have left').toEqual([])
  expect(await failing(owed - 51n, ['marker-2'])).toEqual(short)
})
