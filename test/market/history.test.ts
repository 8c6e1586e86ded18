// Random histories of a whole pool (requesters, boards that crash, lose messages and lag, a console killed between any two
// messages): whatever happened, every accepted task is answered once and every answer is paid once.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ResultMessage } from '../../broker/protocol/messages.ts'
import { FIRST_PREV, hashOfBatch, type ReceiptItem, signBatch } from '../../broker/protocol/receipts.ts'
import { accounts } from '../../console/rewards/accounts.ts'
import { checkLedger } from '../../console/rewards/check.ts'
import { closeEpoch } from '../../console/rewards/epochs.ts'
import { createReceipts, type Receipts } from '../../console/rewards/receipts.ts'
import {
  addRequester,
  type Board,
  candidate,
  enrol,
  item,
  MODEL_DIGEST,
  makeFolder,
  openStore,
  type Pool,
  PRICE,
  silent,
  startPool,
  success,
} from './pool.ts'

const HOLD_MS = 10_000
const BUDGET = 12n * PRICE
const RUNTIME = { ort: '1', provider: 'cpu', cpu: 'x64', decoder: 'd', flags: [] }

/** A board as the contract has it: results and receipts are kept until the console acknowledges their batch. */
class SimBoard {
  readonly seen = new Map<string, ResultMessage>()
  readonly batches: { seq: number; jws: string; results: ResultMessage[] }[] = []
  readonly unbatched: { result: ResultMessage; claim: ReceiptItem }[] = []
  private prev = FIRST_PREV
  private seq = 0
  readonly board: Board
  readonly chain: string

  constructor(board: Board) {
    this.board = board
    this.chain = `chain-${board.device}`
  }

  /** Runs a task, or remembers the answer it gave before. */
  run(task: string, now: number): ResultMessage {
    const before = this.seen.get(task)
    if (before) return before
    const result = success(this.board.device, task, now)
    this.seen.set(task, result)
    this.unbatched.push({ result, claim: item(task, now) })
    return result
  }

  cut(): void {
    if (this.unbatched.length === 0) return
    const rows = this.unbatched.splice(0)
    this.seq += 1
    const { device, key } = this.board
    const items = rows.map(({ claim }) => claim)
    const batch = { device, boot: 'b', chain: this.chain, seq: this.seq, prev: this.prev, runtime: RUNTIME, items }
    const jws = signBatch(batch, key)
    this.prev = hashOfBatch(jws)
    this.batches.push({ seq: this.seq, jws, results: rows.map(({ result }) => result) })
  }

  acked(upTo: number): void {
    while (this.batches[0] && this.batches[0].seq <= upTo) this.batches.shift()
  }
}

/** The requester's side: what it was told, over all lives of the console. */
interface Seen {
  readonly accepted: Set<string>
  readonly answers: Map<string, ResultMessage[]>
}

const Step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('offer' as const), task: fc.nat({ max: 15 }), by: fc.nat({ max: 1 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('work' as const), board: fc.nat({ max: 2 }), loses: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('resend' as const), board: fc.nat({ max: 2 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(500, 5_000, 31_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('gone' as const), board: fc.nat({ max: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('kill' as const), afterMessages: fc.nat({ max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('epoch' as const) }) },
)
type Step = typeof Step extends fc.Arbitrary<infer S> ? S : never

async function live(steps: readonly Step[]): Promise<void> {
  const folder = makeFolder()
  const clock = { now: 1_000_000 }
  const seen: Seen = { accepted: new Set(), answers: new Map() }
  let store = await openStore(folder)
  const boards = [await enrol(store, 'owner-0'), await enrol(store, 'owner-1'), await enrol(store, 'owner-1')].map(
    (board) => new SimBoard(board),
  )
  for (const requester of ['req-0', 'req-1']) await addRequester(store, requester, BUDGET)
  const online = new Set(boards)
  let pool: Pool
  let receipts: Receipts
  let heard = 0

  async function start(): Promise<void> {
    pool = await startPool(store, clock, { keptTasks: 1_000 })
    heard = 0
    receipts = createReceipts({
      store,
      now: () => clock.now,
      devicePublicKey: (device) => boards.find(({ board }) => board.device === device)?.board.publicKey,
      modelDigest: () => MODEL_DIGEST,
      settings: { holdMs: HOLD_MS, feeBps: 1000, royaltyBps: 500 },
      emit: () => undefined,
      log: silent,
    })
    showBoards()
    await pool.dispatcher.turn()
  }

  function showBoards(): void {
    pool.boards.splice(
      0,
      pool.boards.length,
      ...boards.filter((board) => online.has(board)).map(({ board }) => candidate(board.device, { window: 3 })),
    )
  }

  const inboxes = new Map<SimBoard, string[]>(boards.map((board) => [board, []]))

  /** Hands the console's messages to whom they are for, the first `limit` of them: the rest died with it. */
  function deliver(limit = Number.POSITIVE_INFINITY): void {
    const fresh = pool.sent.slice(heard, heard + limit)
    heard += fresh.length
    for (const { topic, payload } of fresh) {
      if (topic.kind === 'device-in') {
        const to = boards.find(({ board }) => board.device === topic.device)!
        if (online.has(to)) inboxes.get(to)!.push(topic.task!)
      }
      if (topic.kind === 'requester-ack') seen.accepted.add(`${topic.requester}/${topic.task}`)
      if (topic.kind === 'requester-out') {
        const id = `${topic.requester}/${topic.task}`
        const answer = JSON.parse(String(payload)) as ResultMessage
        const isRefusal = 'error' in answer && answer.error.code === 'budget-exhausted'
        if (!isRefusal) seen.answers.set(id, [...(seen.answers.get(id) ?? []), answer])
      }
    }
  }

  async function send(board: SimBoard): Promise<void> {
    board.cut()
    for (const { jws, results } of [...board.batches]) {
      for (const result of results) await pool.dispatcher.result(board.board.device, result.id, result)
      const outcome = await receipts.ingest(board.board.device, jws)
      expect(outcome).not.toHaveProperty('rejected')
      if ('ack' in outcome) board.acked(outcome.ack.upTo)
    }
    deliver()
  }

  async function step(move: Step): Promise<void> {
    switch (move.do) {
      case 'offer':
        await pool.offer(`t${move.task}`, { requester: `req-${move.by}` })
        break
      case 'work': {
        const board = boards[move.board]!
        const task = inboxes.get(board)!.shift()
        if (task === undefined || !online.has(board)) break
        const result = board.run(task, clock.now)
        if (!move.loses) await pool.dispatcher.result(board.board.device, task, result)
        break
      }
      case 'resend':
        if (online.has(boards[move.board]!)) await send(boards[move.board]!)
        break
      case 'pass':
        clock.now += move.ms
        await pool.dispatcher.turn()
        break
      case 'gone': {
        const board = boards[move.board]!
        if (online.delete(board)) await pool.dispatcher.boardGone(board.board.device)
        else online.add(board)
        showBoards()
        await pool.dispatcher.turn()
        break
      }
      case 'epoch':
        await store.db.transaction().execute((trx) => closeEpoch(trx, clock.now))
        break
      case 'kill':
        deliver(move.afterMessages)
        await store.close()
        store = await openStore(folder)
        await start()
    }
    deliver()
  }

  async function bringToRest(): Promise<void> {
    for (const board of boards) online.add(board)
    showBoards()
    for (let i = 0; i < 12; i++) {
      clock.now += 6_000
      await pool.dispatcher.turn()
      deliver()
      for (const board of boards) {
        for (const task of inboxes.get(board)!.splice(0))
          await pool.dispatcher.result(board.board.device, task, board.run(task, clock.now))
        await send(board)
      }
      await pool.settled()
    }
  }

  try {
    await start()
    for (const move of steps) await step(move)
    await bringToRest()
    await expectAllIsWell()
  } finally {
    await store.close()
    folder.remove()
  }

  async function expectAllIsWell(): Promise<void> {
    const stats = pool.dispatcher.stats()
    expect(stats).toMatchObject({ queued: 0, leased: 0, lost: 0, storedBytes: 0, answering: 0 })
    // Every accepted task has an answer, and only one: it may be told twice only around a kill, and then word for word.
    for (const id of seen.accepted) expect([id, seen.answers.has(id)]).toEqual([id, true])
    for (const [id, answers] of seen.answers)
      expect([id, new Set(answers.map((a) => JSON.stringify(a))).size]).toEqual([id, 1])
    if (!steps.some((move) => move.do === 'kill' || move.do === 'offer')) expect(seen.answers.size).toBe(0)
    // Every answer was paid once, to the board that gave it, and the board was told.
    const done = await store.db.selectFrom('tasks').selectAll().where('state', '=', 'done').execute()
    const paid = await store.db.selectFrom('receipts').selectAll().where('state', '=', 'credited').execute()
    expect(paid.map((row) => `${row.task_id} ${row.device_id}`).sort()).toEqual(
      done.map((row) => `${row.id} ${row.device_id}`).sort(),
    )
    expect(boards.map((board) => board.batches.length)).toEqual([0, 0, 0])
    expect(
      (await checkLedger(store.db, { holdings: { units: 2n * BUDGET, landed: [] } })).checks.filter(
        (check) => !check.ok,
      ),
    ).toEqual([])
    for (const requester of ['req-0', 'req-1']) expect(await pool.balance(accounts.reserved(requester))).toBe(0n)
    const spent =
      2n * BUDGET - (await pool.balance(accounts.budget('req-0'))) - (await pool.balance(accounts.budget('req-1')))
    expect(spent).toBe(BigInt(done.length) * PRICE)
  }
}

test('whatever happens, every accepted task is answered once and every answer is paid once', {
  timeout: 300_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(Step, { minLength: 5, maxLength: 60 }), (steps) => live(steps)),
    { numRuns: Number(process.env['HISTORIES'] ?? 60) },
  )
})
