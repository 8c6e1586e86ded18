// `node test/bench/ledger.ts [--json] [--receipts N] [--transfers N]`: receipts credited per minute on one core, and how long the
// ledger check takes over so many transfers, and holds up the thread that asks for it. On a real file, every commit flushed.
import { generateKeyPairSync, hash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import { pino } from 'pino'
import { deviceIdOf, rawPublicKey } from '../../broker/protocol/credentials.ts'
import { FIRST_PREV, hashOfBatch, MAX_RECEIPT_ITEMS, signBatch } from '../../broker/protocol/receipts.ts'
import { createAside } from '../../console/rewards/aside.ts'
import { closeEpoch, openEpoch } from '../../console/rewards/epochs.ts'
import { createReceipts } from '../../console/rewards/receipts.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'

const BOARDS = 8
const OWNERS = 200
const REQUESTERS = 50
const PRICE = 100
const DIGEST = hash('sha256', 'one for all', 'hex')

export interface LedgerFigures {
  readonly receipts: number
  readonly receiptsPerMinute: number
  /** CPU of the whole process per receipt: what one core could do. */
  readonly cpuMsPerReceipt: number
  readonly transfers: number
  readonly checkMs: number
  /** CPU of the whole process meanwhile: what it takes on a machine that has nothing else to do. */
  readonly checkCpuMs: number
  /** The longest that the asking thread stood still meanwhile. */
  readonly checkBlockedMs: number
  /** Closing one epoch over all receipts: sums, leaves, root. */
  readonly closeMs: number
  readonly closedReceipts: number
}

interface Board {
  readonly device: string
  readonly key: ReturnType<typeof generateKeyPairSync>['privateKey']
  readonly publicKey: ReturnType<typeof generateKeyPairSync>['publicKey']
}

async function people(store: Store): Promise<Board[]> {
  await sql`with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ${sql.lit(OWNERS)})
    insert into owners (id, name, created_at) select 'owner-' || i, 'owner', 0 from n`.execute(store.db)
  await sql`with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ${sql.lit(REQUESTERS)})
    insert into requesters (id, name, key_hash, created_at) select 'req-' || i, 'r', 'hash-' || i, 0 from n`.execute(
    store.db,
  )
  const prices = { model: 'm', price_units: BigInt(PRICE), publisher: 'p' }
  await store.db.insertInto('prices').values(prices).execute()
  const boards: Board[] = []
  for (let i = 0; i < BOARDS; i++) {
    const { publicKey, privateKey: key } = generateKeyPairSync('ed25519')
    const device = deviceIdOf(rawPublicKey(publicKey))
    const text = Buffer.from(rawPublicKey(publicKey)).toString('base64url')
    const row = { id: device, name: device, owner_id: `owner-${i}`, public_key: text, enrolled_at: 0 }
    await store.db.insertInto('devices').values(row).execute()
    boards.push({ device, key, publicKey })
  }
  return boards
}

/** Answered tasks, their prices reserved: what a console finds when receipts come in. */
async function answeredTasks(store: Store, boards: readonly Board[], count: number): Promise<void> {
  const total = count * PRICE
  await sql`insert into accounts (id, kind, balance_units) values
    ('outside', 'outside', ${sql.lit(-total)}), ('reserved:req-0', 'reserved', ${sql.lit(total)})`.execute(store.db)
  for (const [index, { device }] of boards.entries())
    await sql`with recursive n(i) as (select ${sql.lit(index)} union all select i + ${sql.lit(BOARDS)} from n where i + ${sql.lit(BOARDS)} < ${sql.lit(count)})
      insert into tasks (id, requester_id, request_id, kind, model, state, content_type, bytes, input_sha256, deadline_at,
        accepted_at, attempts, device_id, done_at, result, output_digest, price_units, answered_at)
      select 'task-' || i, 'req-0', 'r-' || i, 'task', 'm', 'done', 'image/jpeg', 1, ${DIGEST}, 1, 0, 1, ${device}, 1,
        '{"model":"m@1.0.0"}', ${DIGEST}, ${sql.lit(PRICE)}, 1 from n`.execute(store.db)
}

/** The batches of each board, signed beforehand: signing is the boards' work. */
function batchesOf({ device, key }: Board, index: number, count: number): string[] {
  const runtime = { ort: '1.30.0', provider: 'cpu', cpu: 'x64', decoder: 'd', flags: [] }
  const tasks = Array.from({ length: Math.ceil((count - index) / BOARDS) }, (_, i) => `task-${index + i * BOARDS}`)
  const batches: string[] = []
  for (let at = 0; at < tasks.length; at += MAX_RECEIPT_ITEMS) {
    const items = tasks
      .slice(at, at + MAX_RECEIPT_ITEMS)
      .map((task) => ({ task, model: DIGEST, input: DIGEST, output: DIGEST, at: 1, ms: 3.25 }))
    const last = batches.at(-1)
    const prev = last === undefined ? FIRST_PREV : hashOfBatch(last)
    const seq = batches.length + 1
    batches.push(signBatch({ device, boot: 'b', chain: 'c', seq, prev, runtime, items }, key))
  }
  return batches
}

async function inFolder<T>(work: (store: Store) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'bramble-ledger-'))
  const store = await openDatabase(join(folder, 'console.db'))
  try {
    return await work(store)
  } finally {
    await store.close()
    rmSync(folder, { recursive: true })
  }
}

type Credited = Pick<LedgerFigures, 'receipts' | 'receiptsPerMinute' | 'cpuMsPerReceipt'>

const measureCredit = (count: number): Promise<Credited> =>
  inFolder(async (store) => {
    const boards = await people(store)
    await answeredTasks(store, boards, count)
    const batches = boards.map((board, index) => batchesOf(board, index, count))
    const keys = new Map(boards.map(({ device, publicKey }) => [device, publicKey]))
    const receipts = createReceipts({
      store,
      now: () => 1,
      devicePublicKey: (device) => keys.get(device),
      modelDigest: () => DIGEST,
      settings: { holdMs: 1_000, feeBps: 500, royaltyBps: 500 },
      emit: () => undefined,
      log: pino({ level: 'silent' }),
    })
    const cpu = process.cpuUsage()
    const started = performance.now()
    // Every board sends its next batch when the one before is acknowledged, as agents do.
    await Promise.all(
      boards.map(async ({ device }, index) => {
        for (const jws of batches[index] ?? []) {
          const taken = await receipts.ingest(device, jws)
          if (!('ack' in taken)) throw new Error(`a batch was not taken: ${JSON.stringify(taken)}`)
        }
      }),
    )
    const minutes = (performance.now() - started) / 60_000
    const { user, system } = process.cpuUsage(cpu)
    const row = await store.db
      .selectFrom('receipts')
      .select((build) => build.fn.countAll<number>().as('count'))
      .where('state', '=', 'credited')
      .where('amount_units', '>', 0n)
      .executeTakeFirstOrThrow()
    if (row.count !== count) throw new Error(`${row.count} of ${count} receipts were credited`)
    return {
      receipts: count,
      receiptsPerMinute: count / minutes,
      cpuMsPerReceipt: (user + system) / 1000 / count,
    }
  })

/** A ledger that is sound, with so many transfers: deposits, and for each task what it reserved and whom it paid. */
async function fullLedger(store: Store, boards: readonly Board[], tasks: number): Promise<void> {
  const { db } = store
  await db.transaction().execute((trx) => openEpoch(trx, 0))
  const device = boards[0]?.device
  await sql`create temp table n as with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ${sql.lit(tasks)})
    select i, 'req-' || (i % ${sql.lit(REQUESTERS)}) as req, 'owner-' || (i % ${sql.lit(OWNERS)}) as owner from n`.execute(
    db,
  )
  await sql`insert into accounts (id, kind, balance_units)
    select 'outside', 'outside', -${sql.lit(PRICE)} * count(*) from n union all select 'fee:operator', 'fee', 5 * count(*) from n
    union all select 'royalty:p', 'royalty', 5 * count(*) from n
    union all select 'budget:' || req, 'budget', 0 from n group by req
    union all select 'reserved:' || req, 'reserved', 0 from n group by req
    union all select 'pending:' || owner, 'pending', 90 * count(*) from n group by owner`.execute(db)
  await sql`insert into transfers (at, kind, ref, from_account, to_account, amount_units)
    select 0, 'deposit', 'first of ' || req, 'outside', 'budget:' || req, ${sql.lit(PRICE)} * count(*) from n group by req`.execute(
    db,
  )
  const each = (kind: string, from: string, to: string, amount: number) =>
    sql`insert into transfers (at, kind, ref, from_account, to_account, amount_units)
      select 1, ${kind}, 'task-' || i, ${sql.raw(from)}, ${sql.raw(to)}, ${sql.lit(amount)} from n`.execute(db)
  await each('reserve', "'budget:' || req", "'reserved:' || req", PRICE)
  await each('earn', "'reserved:' || req", "'pending:' || owner", 90)
  await each('fee', "'reserved:' || req", "'fee:operator'", 5)
  await each('royalty', "'reserved:' || req", "'royalty:p'", 5)
  await sql`insert into receipts (device_id, chain, seq, idx, task_id, model_digest, input_sha256, output_digest, at, infer_ms,
      state, amount_units, owner_id, received_at, release_at)
    select ${device}, 'c', i / 200 + 1, i % 200, 'task-' || i, ${DIGEST}, ${DIGEST}, ${DIGEST}, 1, 3.25,
      'credited', 90, owner, 1, 2 from n`.execute(db)
}

type Checked = Omit<LedgerFigures, keyof Credited>

const measureCheck = (transfers: number): Promise<Checked> =>
  inFolder(async (store) => {
    const tasks = Math.ceil(transfers / 4)
    await fullLedger(store, await people(store), tasks)
    const closing = performance.now()
    const closed = await store.db.transaction().execute((trx) => closeEpoch(trx, 2))
    const closeMs = performance.now() - closing
    if (closed?.owners.length !== OWNERS) throw new Error('the epoch did not close')
    const aside = createAside(store.file)
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const before = process.cpuUsage()
    const started = performance.now()
    const { ok, checks } = await aside.check(undefined)
    const checkMs = performance.now() - started
    const { user, system } = process.cpuUsage(before)
    delay.disable()
    if (!ok) throw new Error(`the ledger is not sound: ${JSON.stringify(checks.filter((check) => !check.ok))}`)
    return {
      transfers: tasks * 4 + REQUESTERS + OWNERS,
      checkMs,
      checkCpuMs: (user + system) / 1000,
      checkBlockedMs: delay.max / 1e6,
      closeMs,
      closedReceipts: tasks,
    }
  })

export const measureLedger = async (receipts = 100_000, transfers = 1_000_000): Promise<LedgerFigures> => ({
  ...(await measureCredit(receipts)),
  ...(await measureCheck(transfers)),
})

export const ledgerText = (figures: LedgerFigures): string =>
  [
    `ledger: ${Math.round(figures.receiptsPerMinute)} receipts credited a minute (${figures.cpuMsPerReceipt.toFixed(3)} CPU-ms each)`,
    `checked ${figures.transfers} transfers in ${(figures.checkMs / 1000).toFixed(2)} s (${(figures.checkCpuMs / 1000).toFixed(2)} CPU-s), its thread's asker held up ${figures.checkBlockedMs.toFixed(0)} ms at most`,
    `closed an epoch of ${figures.closedReceipts} receipts in ${(figures.closeMs / 1000).toFixed(2)} s`,
  ].join('; ')

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      receipts: { type: 'string', default: '100000' },
      transfers: { type: 'string', default: '1000000' },
    },
  })
  const figures = await measureLedger(Number(values.receipts), Number(values.transfers))
  console.log(values.json ? JSON.stringify(figures) : ledgerText(figures))
}
