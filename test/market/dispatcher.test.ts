import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodeFrame } from '../../broker/protocol/envelope.ts'
import { accounts } from '../../console/rewards/accounts.ts'
import { checkLedger } from '../../console/rewards/check.ts'
import type { Store } from '../../console/store/open.ts'
import {
  addRequester,
  type Board,
  candidate,
  enrol,
  type Folder,
  failure,
  frameIn,
  JPEG,
  MODEL,
  makeFolder,
  openStore,
  type Pool,
  PRICE,
  startPool,
  success,
} from './pool.ts'

let folder: Folder
let store: Store
let a: Board
let b: Board

beforeEach(async () => {
  folder = makeFolder()
  store = await openStore(folder)
  a = await enrol(store, 'owner-a')
  b = await enrol(store, 'owner-b')
  await addRequester(store, 'req-a', 1_000_000n)
  await addRequester(store, 'req-b', 1_000_000n)
})

afterEach(async () => {
  await store.close()
  folder.remove()
})

const errorOf = (pool: Pool, requestId: string) => {
  const answer = pool.answersTo(requestId).at(-1)
  return answer && 'error' in answer ? answer.error : undefined
}

test('a task is accepted, leased with its deadline, and its answer reaches the requester under its own id', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  const offered = await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  expect(offered).toEqual({ state: 'accepted', task })
  expect(pool.accepts('t1')).toBe(1)
  const frame = frameIn(pool.sent.find(({ topic }) => topic.kind === 'device-in'))
  expect(frame).toMatchObject({ id: task, deadline: pool.clock.now + 30_000, contentType: 'image/jpeg' })
  expect([...frame.data]).toEqual([...JPEG])
  expect(await pool.dispatcher.result(a.device, task!, success(a.device, task!, pool.clock.now))).toBe('done')
  await pool.settled()
  expect(pool.answersTo('t1')).toMatchObject([{ id: 't1', device: a.device, model: `${MODEL}@1.0.0` }])
  await pool.dispatcher.turn()
  const row = await store.db.selectFrom('tasks').selectAll().executeTakeFirstOrThrow()
  expect(row).toMatchObject({ state: 'done', answered_at: pool.clock.now, settled_at: null, attempts: 1 })
  expect(await store.db.selectFrom('task_payloads').selectAll().execute()).toEqual([])
  expect(await pool.balance(accounts.reserved('req-a'))).toBe(PRICE)
  expect(pool.dispatcher.stats()).toMatchObject({ accepted: 1, queued: 0, leased: 0, lost: 0, storedBytes: 0 })
})

test('boards can tell requesters apart, but not who they are', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  await pool.offer('t2')
  await pool.offer('t3', { requester: 'req-b' })
  const sources = pool.sent.filter(({ topic }) => topic.kind === 'device-in').map((sent) => frameIn(sent).source)
  expect(sources).toEqual([sources[0], sources[0], sources[2]])
  expect(sources[2]).not.toBe(sources[0])
  for (const source of sources) expect(source).toMatch(/^[0-9a-f]{16}$/)
})

test('a task whose lease ends goes to another board, and the late result of the former board is discarded', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  pool.boards.push(candidate(b.device))
  pool.clock.now += 30_000
  await pool.dispatcher.turn()
  expect(pool.leasedTo(b.device)).toEqual([task])
  expect(await pool.dispatcher.result(a.device, task!, success(a.device, task!, pool.clock.now))).toBe('not-leased')
  expect(pool.answersTo('t1')).toEqual([])
  expect(await pool.dispatcher.result(b.device, task!, success(b.device, task!, pool.clock.now))).toBe('done')
  expect(await pool.dispatcher.result(b.device, task!, success(b.device, task!, pool.clock.now))).toBe('unknown-task')
  expect(pool.answersTo('t1')).toMatchObject([{ device: b.device }])
  expect(pool.dispatcher.stats().results).toMatchObject({ done: 1, 'not-leased': 1, 'unknown-task': 1 })
})

test('a late result is taken from the former board while nobody else has the task', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  pool.boards.length = 0
  pool.clock.now += 30_000
  await pool.dispatcher.turn()
  expect(pool.dispatcher.stats()).toMatchObject({ queued: 1, leased: 0 })
  expect(await pool.dispatcher.result(b.device, task!, success(b.device, task!, pool.clock.now))).toBe('not-leased')
  expect(await pool.dispatcher.result(a.device, task!, success(a.device, task!, pool.clock.now))).toBe('done')
  expect(pool.answersTo('t1')).toHaveLength(1)
  expect(pool.dispatcher.stats()).toMatchObject({ queued: 0, leased: 0, lost: 0 })
})

test('the same request id is accepted again while open, answered again once ended, and run once', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device), candidate(b.device))
  const [first, twin] = await Promise.all([pool.offer('t1'), pool.offer('t1')])
  expect(twin).toEqual(first)
  expect(pool.accepts('t1')).toBe(2)
  const [task] = [...pool.leasedTo(a.device), ...pool.leasedTo(b.device)]
  expect([...pool.leasedTo(a.device), ...pool.leasedTo(b.device)]).toHaveLength(1)
  const holder = pool.leasedTo(a.device).length === 1 ? a : b
  await pool.dispatcher.result(holder.device, task!, success(holder.device, task!, pool.clock.now))
  expect(await pool.offer('t1')).toMatchObject({ state: 'answered', answer: { id: 't1' } })
  expect(pool.answersTo('t1')).toHaveLength(2)
  expect(pool.answersTo('t1')[0]).toEqual(pool.answersTo('t1')[1])
  expect([...pool.leasedTo(a.device), ...pool.leasedTo(b.device)]).toHaveLength(1)
  expect(await pool.balance(accounts.reserved('req-a'))).toBe(PRICE)
})

test('a request id of one requester says nothing about the same id of another', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await Promise.all([pool.offer('t1'), pool.offer('t1', { requester: 'req-b' })])
  expect(pool.leasedTo(a.device)).toHaveLength(2)
})

test('a budget that runs dry refuses with the remaining sum, and only those tasks', async () => {
  const pool = await startPool(store)
  await addRequester(store, 'poor', 2n * PRICE + 50n)
  const offers = await Promise.all(['p1', 'p2', 'p3'].map((id) => pool.offer(id, { requester: 'poor' })))
  expect(offers.map((offer) => offer.state)).toEqual(['accepted', 'accepted', 'refused'])
  expect(errorOf(pool, 'p3')).toMatchObject({
    code: 'budget-exhausted',
    message: expect.stringContaining('50 base units'),
  })
  expect(await pool.balance(accounts.budget('poor'))).toBe(50n)
  expect(await pool.balance(accounts.reserved('poor'))).toBe(2n * PRICE)
})

test('what cannot be done is refused with a reason and costs nothing', async () => {
  const pool = await startPool(store, undefined, { payloadBytes: 1000 })
  const cases: [string, Parameters<Pool['offer']>[1], string][] = [
    ['unknown', { model: 'no-such-model' }, 'unknown-model'],
    ['big', { payload: new Uint8Array(1001).fill(0xff) }, 'too-large'],
    ['empty', { payload: new Uint8Array() }, 'bad-envelope'],
    ['text', { payload: Buffer.from('hello there') }, 'bad-envelope'],
    ['cbor', { payload: new Uint8Array([0xa1, 0x61]) }, 'bad-envelope'],
    ['past', { deadline: pool.clock.now - 1 }, 'expired'],
    ['stranger', { requester: 'nobody' }, 'budget-exhausted'],
  ]
  await Promise.all(cases.map(([id, more]) => pool.offer(id, more)))
  for (const [id, , code] of cases) expect([id, errorOf(pool, id)?.code]).toEqual([id, code])
  expect(await store.db.selectFrom('tasks').selectAll().execute()).toEqual([])
  expect(await pool.balance(accounts.budget('req-a'))).toBe(1_000_000n)
})

test('a full store refuses with busy and takes tasks again once some have ended', async () => {
  const pool = await startPool(store, undefined, { storedBytes: 3 * 1024 + 100 })
  pool.boards.push(candidate(a.device))
  const states = (await Promise.all(['1', '2', '3', '4'].map((id) => pool.offer(id)))).map((offer) => offer.state)
  expect(states).toEqual(['accepted', 'accepted', 'accepted', 'refused'])
  expect(errorOf(pool, '4')).toMatchObject({ code: 'busy', retryAfterMs: 1000 })
  const [task] = pool.leasedTo(a.device)
  await pool.dispatcher.result(a.device, task!, success(a.device, task!, pool.clock.now))
  expect(await pool.offer('4')).toMatchObject({ state: 'accepted' })
})

test('requesters take turns, and within one the earliest deadline goes first', async () => {
  const pool = await startPool(store)
  const at = (seconds: number) => ({ deadline: pool.clock.now + seconds * 1000 })
  await pool.offer('a-late', at(40))
  await pool.offer('a-soon', at(20))
  await pool.offer('a-mid', at(30))
  await pool.offer('b-1', { requester: 'req-b', ...at(50) })
  await pool.offer('b-2', { requester: 'req-b', ...at(55) })
  pool.boards.push(candidate(a.device, { window: 5 }))
  await pool.dispatcher.turn()
  const rows = await store.db.selectFrom('tasks').select(['id', 'request_id']).execute()
  const names = new Map(rows.map((row) => [row.id, row.request_id]))
  expect(pool.leasedTo(a.device).map((id) => names.get(id))).toEqual(['a-soon', 'b-1', 'a-mid', 'b-2', 'a-late'])
})

test('a board gets no more than its window, the least loaded is served first, idle boards alike', async () => {
  const pool = await startPool(store, undefined, { window: 2 })
  pool.boards.push(candidate(a.device), candidate(b.device, { queue: 1 }))
  for (let i = 0; i < 5; i++) await pool.offer(`t${i}`)
  // a has 0 against 1; then 1 against 1, b was never served; then each once more; the fifth waits.
  expect(pool.leasedTo(a.device)).toHaveLength(2)
  expect(pool.leasedTo(b.device)).toHaveLength(2)
  expect(pool.dispatcher.stats()).toMatchObject({ queued: 1, leased: 4 })
  const [task] = pool.leasedTo(b.device)
  await pool.dispatcher.result(b.device, task!, success(b.device, task!, pool.clock.now))
  expect(pool.leasedTo(b.device)).toHaveLength(3)
})

test('a board busy with work that is not ours is left alone while another is idle', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device, { queue: 5 }), candidate(b.device))
  for (let i = 0; i < 5; i++) await pool.offer(`t${i}`)
  expect(pool.leasedTo(b.device)).toHaveLength(5)
  await pool.offer('t5')
  expect(pool.leasedTo(a.device)).toHaveLength(1)
})

test('a board that refuses for now is passed by, and the third refusal is the answer', async () => {
  const pool = await startPool(store)
  const c = await enrol(store)
  pool.boards.push(candidate(a.device), candidate(b.device), candidate(c.device))
  await pool.offer('t1')
  const task = pool.dispatcher.stats().leased === 1 ? pool.leasedTo(a.device)[0]! : ''
  expect(await pool.dispatcher.result(a.device, task, failure(a.device, task, pool.clock.now, 'busy'))).toBe('requeued')
  const second = pool.leasedTo(b.device).length === 1 ? b : c
  const third = second === b ? c : b
  await pool.dispatcher.result(second.device, task, failure(second.device, task, pool.clock.now, 'crashed'))
  expect(pool.leasedTo(third.device)).toEqual([task])
  await pool.dispatcher.result(third.device, task, failure(third.device, task, pool.clock.now, 'timeout'))
  expect(errorOf(pool, 't1')).toMatchObject({ code: 'timeout' })
  expect(await pool.balance(accounts.budget('req-a'))).toBe(1_000_000n)
  expect(pool.dispatcher.stats()).toMatchObject({ ended: { failed: 1 }, lost: 0 })
})

test('a lone board that refused is asked again once it is no longer passed by', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  await pool.dispatcher.result(a.device, task!, failure(a.device, task!, pool.clock.now, 'busy'))
  await pool.dispatcher.turn()
  expect(pool.leasedTo(a.device)).toHaveLength(1)
  pool.clock.now += 10_000
  await pool.dispatcher.turn()
  expect(pool.leasedTo(a.device)).toEqual([task, task])
})

test('an answer about the frame itself is final and gives the price back', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device), candidate(b.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  expect(await pool.dispatcher.result(a.device, task!, failure(a.device, task!, pool.clock.now, 'bad-frame'))).toBe(
    'failed',
  )
  expect(errorOf(pool, 't1')).toMatchObject({ code: 'bad-frame' })
  expect(pool.leasedTo(b.device)).toEqual([])
  expect(await pool.balance(accounts.budget('req-a'))).toBe(1_000_000n)
  expect(await pool.balance(accounts.reserved('req-a'))).toBe(0n)
})

test('a result that names another task, board or model is not taken', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  const honest = success(a.device, task!, pool.clock.now)
  for (const lie of [{ id: 'other' }, { device: b.device }, { model: 'ssd@1.0.0' }, { model: `${MODEL}x` }])
    expect(await pool.dispatcher.result(a.device, task!, { ...honest, ...lie })).toBe('mismatched')
  expect(await pool.dispatcher.result(a.device, task!, honest)).toBe('done')
})

test('a deadline ends a task and says why nobody answered', async () => {
  const pool = await startPool(store)
  await pool.offer('nobody')
  pool.clock.now += 60_000
  await pool.dispatcher.turn()
  expect(errorOf(pool, 'nobody')).toMatchObject({ code: 'no-board', message: expect.stringContaining(MODEL) })
  pool.boards.push(candidate(a.device))
  await pool.offer('silent', { deadline: pool.clock.now + 10_000 })
  pool.clock.now += 10_000
  await pool.dispatcher.turn()
  expect(errorOf(pool, 'silent')).toMatchObject({
    code: 'expired',
    message: expect.stringContaining('given to 1 board'),
  })
  expect(await pool.balance(accounts.budget('req-a'))).toBe(1_000_000n)
  expect(pool.dispatcher.stats()).toMatchObject({ ended: { failed: 1, expired: 1, done: 0 }, lost: 0, storedBytes: 0 })
})

test('a deadline too far away is brought near', async () => {
  const pool = await startPool(store)
  await pool.offer('t1', { deadline: pool.clock.now + 365 * 86_400_000 })
  const row = await store.db.selectFrom('tasks').select('deadline_at').executeTakeFirstOrThrow()
  expect(row.deadline_at).toBe(pool.clock.now + 86_400_000)
})

test('the tasks of a board whose connection broke go to others after a moment of grace', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  await pool.dispatcher.boardGone(a.device)
  pool.boards.splice(0, 1, candidate(b.device))
  pool.clock.now += 4_999
  await pool.dispatcher.turn()
  expect(pool.leasedTo(b.device)).toEqual([])
  pool.clock.now += 1
  await pool.dispatcher.turn()
  expect(pool.leasedTo(b.device)).toEqual([task])
})

test('waiting for an answer ends with it, at once when it is there, and with the signal', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  const waiting = pool.dispatcher.waitFor(task!, new AbortController().signal)
  const given = new AbortController()
  const givenUp = pool.dispatcher.waitFor(task!, given.signal)
  given.abort(new Error('the client left'))
  await expect(givenUp).rejects.toThrow('the client left')
  await pool.dispatcher.result(a.device, task!, success(a.device, task!, pool.clock.now))
  expect(await waiting).toMatchObject({ id: 't1' })
  expect(await pool.dispatcher.waitFor(task!, new AbortController().signal)).toMatchObject({ id: 't1' })
  await expect(pool.dispatcher.waitFor('nothing', new AbortController().signal)).rejects.toThrow('no task')
})

test('an answer whose hand-over failed is told again, and only until it is handed over', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  pool.link.up = false
  await pool.dispatcher.result(a.device, task!, success(a.device, task!, pool.clock.now))
  await pool.settled()
  pool.link.up = true
  pool.clock.now += 5_000
  for (let i = 0; i < 3; i++) {
    await pool.dispatcher.turn()
    await pool.settled()
    pool.clock.now += 5_000
  }
  expect(pool.answersTo('t1')).toHaveLength(2)
})

test('answers that the process before did not hand over are told in the first turn', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  pool.link.up = false
  await pool.dispatcher.result(a.device, task!, success(a.device, task!, pool.clock.now))
  await pool.settled()
  const next = await startPool(store, pool.clock)
  await next.dispatcher.turn()
  await next.settled()
  expect(next.answersTo('t1')).toEqual(pool.answersTo('t1'))
  await next.dispatcher.turn()
  expect(next.answersTo('t1')).toHaveLength(1)
})

test('a lease that another console gave away meanwhile is not ended by the former holder', async () => {
  const pool = await startPool(store)
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  await store.db.updateTable('tasks').set({ device_id: b.device }).execute()
  expect(await pool.dispatcher.result(a.device, task!, success(a.device, task!, pool.clock.now))).toBe('not-leased')
  expect(pool.answersTo('t1')).toEqual([])
  expect(await store.db.selectFrom('tasks').select('state').execute()).toEqual([{ state: 'leased' }])
})

test('of the frames of a stream the newest is leased, the others are counted, and the answer echoes its id', async () => {
  const pool = await startPool(store)
  const frame = (id: string) =>
    pool.dispatcher.frame({
      requester: 'req-a',
      model: MODEL,
      payload: encodeFrame({ id, contentType: 'image/jpeg', data: JPEG }),
    })
  await Promise.all([frame('f1'), frame('f2'), frame('f3')])
  expect(pool.dispatcher.stats()).toMatchObject({ frames: 1, accepted: 0, today: { dropped: { 'newer-frame': 2 } } })
  pool.boards.push(candidate(a.device))
  await pool.dispatcher.turn()
  const [task] = pool.leasedTo(a.device)
  expect(pool.dispatcher.stats()).toMatchObject({ frames: 0, accepted: 1, leased: 1, lost: 0 })
  await pool.dispatcher.result(a.device, task!, success(a.device, task!, pool.clock.now))
  const [answer] = pool.sent.filter(({ topic }) => topic.kind === 'requester-out')
  expect(answer?.topic).toEqual({ kind: 'requester-out', requester: 'req-a', model: MODEL })
  expect(JSON.parse(String(answer?.payload))).toMatchObject({ id: 'f3', device: a.device })
})

test('a stream frame nobody can take is dropped and counted, and its sender is told now and then', async () => {
  const pool = await startPool(store)
  await addRequester(store, 'poor', 10n)
  for (let i = 0; i < 3; i++) {
    await pool.dispatcher.frame({ requester: 'req-a', model: MODEL, payload: JPEG })
    pool.clock.now += 5_000
    await pool.dispatcher.turn()
  }
  pool.boards.push(candidate(a.device))
  for (let i = 0; i < 3; i++) await pool.dispatcher.frame({ requester: 'poor', model: MODEL, payload: JPEG })
  expect(pool.dispatcher.stats().today.dropped).toEqual({ 'no-board': 3, 'budget-exhausted': 3 })
  const told = pool.sent.filter(({ topic }) => topic.kind === 'requester-out' && topic.requester === 'poor')
  expect(told.map(({ payload }) => JSON.parse(String(payload)).error.code)).toEqual(['budget-exhausted'])
  expect(pool.dispatcher.stats()).toMatchObject({ frames: 0, storedBytes: 0, lost: 0 })
  expect(await pool.balance(accounts.budget('poor'))).toBe(10n)
})

test('a task that vanished is counted as lost', async () => {
  const pool = await startPool(store)
  await pool.offer('t1')
  await pool.offer('t2')
  await store.db.deleteFrom('task_payloads').execute()
  await store.db.deleteFrom('tasks').where('request_id', '=', 't1').execute()
  const next = await startPool(store)
  expect(next.dispatcher.stats()).toMatchObject({ accepted: 2, queued: 1, lost: 1 })
})

test('what ended long ago is forgotten, but not while its money or its answer is open', async () => {
  const pool = await startPool(store, undefined, { keptTasks: 0, unclaimedMs: 200_000 })
  pool.boards.push(candidate(a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(a.device)
  await pool.dispatcher.result(a.device, task!, success(a.device, task!, pool.clock.now))
  await pool.settled()
  pool.clock.now += 100_000
  await pool.dispatcher.turn()
  expect(await store.db.selectFrom('tasks').select('id').execute()).toHaveLength(1)
  pool.clock.now += 100_000
  await pool.dispatcher.turn()
  expect(await pool.balance(accounts.budget('req-a'))).toBe(1_000_000n)
  pool.clock.now += 60_000
  await pool.dispatcher.turn()
  expect(await store.db.selectFrom('tasks').select('id').execute()).toEqual([])
  expect(pool.dispatcher.stats()).toMatchObject({ accepted: 1, lost: 0 })
  expect(await checkLedger(store.db)).toMatchObject({ ok: true })
})

test('a failed task is kept until its requester was told', async () => {
  const pool = await startPool(store, undefined, { keptTasks: 0 })
  await pool.offer('t1')
  pool.link.up = false
  for (let i = 0; i < 3; i++) {
    pool.clock.now += 60_000
    await pool.dispatcher.turn()
    await pool.settled()
  }
  expect(await store.db.selectFrom('tasks').select('state').execute()).toEqual([{ state: 'failed' }])
  pool.link.up = true
  for (let i = 0; i < 2; i++) {
    pool.clock.now += 60_000
    await pool.dispatcher.turn()
    await pool.settled()
  }
  expect(await store.db.selectFrom('tasks').select('id').execute()).toEqual([])
})
