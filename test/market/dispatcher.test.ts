// The pool: what is accepted, who gets it, and when it goes to another.
import { expect, test } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import {
  addRequester,
  candidate,
  enrol,
  failure,
  frameIn,
  JPEG,
  MODEL,
  type Pool,
  PRICE,
  startPool,
  success,
} from './pool.ts'
import { openStage } from './stage.ts'

const stage = openStage()

const errorOf = (pool: Pool, requestId: string) => {
  const answer = pool.answersTo(requestId).at(-1)
  return answer && 'error' in answer ? answer.error : undefined
}

test('a task is accepted, leased with its deadline, and its answer reaches the requester under its own id', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  const offered = await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  expect(offered).toEqual({ state: 'accepted', task })
  expect(pool.accepts('t1')).toBe(1)
  const frame = frameIn(pool.sent.find(({ topic }) => topic.kind === 'device-in'))
  expect(frame).toMatchObject({ id: task, deadline: pool.clock.now + 30_000, contentType: 'image/jpeg' })
  expect([...frame.data]).toEqual([...JPEG])
  expect(await pool.dispatcher.result(stage.a.device, task!, success(stage.a.device, task!, pool.clock.now))).toBe(
    'done',
  )
  await pool.settled()
  expect(pool.answersTo('t1')).toMatchObject([{ id: 't1', device: stage.a.device, model: `${MODEL}@1.0.0` }])
  await pool.dispatcher.turn()
  const row = await stage.store.db.selectFrom('tasks').selectAll().executeTakeFirstOrThrow()
  expect(row).toMatchObject({ state: 'done', answered_at: pool.clock.now, settled_at: null, attempts: 1 })
  expect(await stage.store.db.selectFrom('task_payloads').selectAll().execute()).toEqual([])
  expect(await pool.balance(accounts.reserved('req-a'))).toBe(PRICE)
  expect(pool.dispatcher.stats()).toMatchObject({ accepted: 1, queued: 0, leased: 0, lost: 0, storedBytes: 0 })
})

test('boards can tell requesters apart, but not who they are', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  await pool.offer('t1')
  await pool.offer('t2')
  await pool.offer('t3', { requester: 'req-b' })
  const sources = pool.sent.filter(({ topic }) => topic.kind === 'device-in').map((sent) => frameIn(sent).source)
  expect(sources).toEqual([sources[0], sources[0], sources[2]])
  expect(sources[2]).not.toBe(sources[0])
  for (const source of sources) expect(source).toMatch(/^[0-9a-f]{16}$/)
})

test('a task whose lease ends goes to another board, and the late result of the former board is discarded', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  pool.boards.push(candidate(stage.b.device))
  pool.clock.now += 30_000
  await pool.dispatcher.turn()
  expect(pool.leasedTo(stage.b.device)).toEqual([task])
  expect(await pool.dispatcher.result(stage.a.device, task!, success(stage.a.device, task!, pool.clock.now))).toBe(
    'not-leased',
  )
  expect(pool.answersTo('t1')).toEqual([])
  expect(await pool.dispatcher.result(stage.b.device, task!, success(stage.b.device, task!, pool.clock.now))).toBe(
    'done',
  )
  expect(await pool.dispatcher.result(stage.b.device, task!, success(stage.b.device, task!, pool.clock.now))).toBe(
    'unknown-task',
  )
  expect(pool.answersTo('t1')).toMatchObject([{ device: stage.b.device }])
  expect(pool.dispatcher.stats().results).toMatchObject({ done: 1, 'not-leased': 1, 'unknown-task': 1 })
})

test('a late result is taken from the former board while nobody else has the task', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  pool.boards.length = 0
  pool.clock.now += 30_000
  await pool.dispatcher.turn()
  expect(pool.dispatcher.stats()).toMatchObject({ queued: 1, leased: 0 })
  expect(await pool.dispatcher.result(stage.b.device, task!, success(stage.b.device, task!, pool.clock.now))).toBe(
    'not-leased',
  )
  expect(await pool.dispatcher.result(stage.a.device, task!, success(stage.a.device, task!, pool.clock.now))).toBe(
    'done',
  )
  expect(pool.answersTo('t1')).toHaveLength(1)
  expect(pool.dispatcher.stats()).toMatchObject({ queued: 0, leased: 0, lost: 0 })
})

test('the same request id is accepted again while open, answered again once ended, and run once', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device), candidate(stage.b.device))
  const [first, twin] = await Promise.all([pool.offer('t1'), pool.offer('t1')])
  expect(twin).toEqual(first)
  expect(pool.accepts('t1')).toBe(2)
  const [task] = [...pool.leasedTo(stage.a.device), ...pool.leasedTo(stage.b.device)]
  expect([...pool.leasedTo(stage.a.device), ...pool.leasedTo(stage.b.device)]).toHaveLength(1)
  const holder = pool.leasedTo(stage.a.device).length === 1 ? stage.a : stage.b
  await pool.dispatcher.result(holder.device, task!, success(holder.device, task!, pool.clock.now))
  expect(await pool.offer('t1')).toMatchObject({ state: 'answered', answer: { id: 't1' } })
  expect(pool.answersTo('t1')).toHaveLength(2)
  expect(pool.answersTo('t1')[0]).toEqual(pool.answersTo('t1')[1])
  expect([...pool.leasedTo(stage.a.device), ...pool.leasedTo(stage.b.device)]).toHaveLength(1)
  expect(await pool.balance(accounts.reserved('req-a'))).toBe(PRICE)
})

test('a request id of one requester says nothing about the same id of another', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  await Promise.all([pool.offer('t1'), pool.offer('t1', { requester: 'req-b' })])
  expect(pool.leasedTo(stage.a.device)).toHaveLength(2)
})

test('a budget that runs dry refuses with the remaining sum, and only those tasks', async () => {
  const pool = await startPool(stage.store)
  await addRequester(stage.store, 'poor', 2n * PRICE + 50n)
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
  const pool = await startPool(stage.store, undefined, { payloadBytes: 1000 })
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
  expect(await stage.store.db.selectFrom('tasks').selectAll().execute()).toEqual([])
  expect(await pool.balance(accounts.budget('req-a'))).toBe(1_000_000n)
})

test('a full store refuses with busy and takes tasks again once some have ended', async () => {
  const pool = await startPool(stage.store, undefined, { storedBytes: 3 * 1024 + 100 })
  pool.boards.push(candidate(stage.a.device))
  const states = (await Promise.all(['1', '2', '3', '4'].map((id) => pool.offer(id)))).map((offer) => offer.state)
  expect(states).toEqual(['accepted', 'accepted', 'accepted', 'refused'])
  expect(errorOf(pool, '4')).toMatchObject({ code: 'busy', retryAfterMs: 1000 })
  const [task] = pool.leasedTo(stage.a.device)
  await pool.dispatcher.result(stage.a.device, task!, success(stage.a.device, task!, pool.clock.now))
  expect(await pool.offer('4')).toMatchObject({ state: 'accepted' })
})

test('requesters take turns, and within one the earliest deadline goes first', async () => {
  const pool = await startPool(stage.store)
  const at = (seconds: number) => ({ deadline: pool.clock.now + seconds * 1000 })
  await pool.offer('a-late', at(40))
  await pool.offer('a-soon', at(20))
  await pool.offer('a-mid', at(30))
  await pool.offer('b-1', { requester: 'req-b', ...at(50) })
  await pool.offer('b-2', { requester: 'req-b', ...at(55) })
  pool.boards.push(candidate(stage.a.device, { window: 5 }))
  await pool.dispatcher.turn()
  const rows = await stage.store.db.selectFrom('tasks').select(['id', 'request_id']).execute()
  const names = new Map(rows.map((row) => [row.id, row.request_id]))
  expect(pool.leasedTo(stage.a.device).map((id) => names.get(id))).toEqual(['a-soon', 'b-1', 'a-mid', 'b-2', 'a-late'])
})

test('a board gets no more than its window, the least loaded is served first, idle boards alike', async () => {
  const pool = await startPool(stage.store, undefined, { window: 2 })
  pool.boards.push(candidate(stage.a.device), candidate(stage.b.device, { queue: 1 }))
  for (let i = 0; i < 5; i++) await pool.offer(`t${i}`)
  // a has 0 against 1; then 1 against 1, b was never served; then each once more; the fifth waits.
  expect(pool.leasedTo(stage.a.device)).toHaveLength(2)
  expect(pool.leasedTo(stage.b.device)).toHaveLength(2)
  expect(pool.dispatcher.stats()).toMatchObject({ queued: 1, leased: 4 })
  const [task] = pool.leasedTo(stage.b.device)
  await pool.dispatcher.result(stage.b.device, task!, success(stage.b.device, task!, pool.clock.now))
  expect(pool.leasedTo(stage.b.device)).toHaveLength(3)
})

test('a board busy with work that is not ours is left alone while another is idle', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device, { queue: 5 }), candidate(stage.b.device))
  for (let i = 0; i < 5; i++) await pool.offer(`t${i}`)
  expect(pool.leasedTo(stage.b.device)).toHaveLength(5)
  await pool.offer('t5')
  expect(pool.leasedTo(stage.a.device)).toHaveLength(1)
})

test('a board that refuses for now is passed by, and the third refusal is the answer', async () => {
  const pool = await startPool(stage.store)
  const c = await enrol(stage.store)
  pool.boards.push(candidate(stage.a.device), candidate(stage.b.device), candidate(c.device))
  await pool.offer('t1')
  const task = pool.dispatcher.stats().leased === 1 ? pool.leasedTo(stage.a.device)[0]! : ''
  expect(
    await pool.dispatcher.result(stage.a.device, task, failure(stage.a.device, task, pool.clock.now, 'busy')),
  ).toBe('requeued')
  const second = pool.leasedTo(stage.b.device).length === 1 ? stage.b : c
  const third = second === stage.b ? c : stage.b
  await pool.dispatcher.result(second.device, task, failure(second.device, task, pool.clock.now, 'crashed'))
  expect(pool.leasedTo(third.device)).toEqual([task])
  await pool.dispatcher.result(third.device, task, failure(third.device, task, pool.clock.now, 'timeout'))
  expect(errorOf(pool, 't1')).toMatchObject({ code: 'timeout' })
  expect(await pool.balance(accounts.budget('req-a'))).toBe(1_000_000n)
  expect(pool.dispatcher.stats()).toMatchObject({ ended: { failed: 1 }, lost: 0 })
})

test('a lone board that refused is asked again once it is no longer passed by', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  await pool.dispatcher.result(stage.a.device, task!, failure(stage.a.device, task!, pool.clock.now, 'busy'))
  await pool.dispatcher.turn()
  expect(pool.leasedTo(stage.a.device)).toHaveLength(1)
  pool.clock.now += 10_000
  await pool.dispatcher.turn()
  expect(pool.leasedTo(stage.a.device)).toEqual([task, task])
})

test('an answer about the frame itself is final and gives the price back', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device), candidate(stage.b.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  expect(
    await pool.dispatcher.result(stage.a.device, task!, failure(stage.a.device, task!, pool.clock.now, 'bad-frame')),
  ).toBe('failed')
  expect(errorOf(pool, 't1')).toMatchObject({ code: 'bad-frame' })
  expect(pool.leasedTo(stage.b.device)).toEqual([])
  expect(await pool.balance(accounts.budget('req-a'))).toBe(1_000_000n)
  expect(await pool.balance(accounts.reserved('req-a'))).toBe(0n)
})

test('a result that names another task, board or model is not taken', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  const honest = success(stage.a.device, task!, pool.clock.now)
  for (const lie of [{ id: 'other' }, { device: stage.b.device }, { model: 'ssd@1.0.0' }, { model: `${MODEL}x` }])
    expect(await pool.dispatcher.result(stage.a.device, task!, { ...honest, ...lie })).toBe('mismatched')
  expect(await pool.dispatcher.result(stage.a.device, task!, honest)).toBe('done')
})

test('a deadline ends a task and says why nobody answered', async () => {
  const pool = await startPool(stage.store)
  await pool.offer('nobody')
  pool.clock.now += 60_000
  await pool.dispatcher.turn()
  expect(errorOf(pool, 'nobody')).toMatchObject({ code: 'no-board', message: expect.stringContaining(MODEL) })
  pool.boards.push(candidate(stage.a.device))
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
  const pool = await startPool(stage.store)
  await pool.offer('t1', { deadline: pool.clock.now + 365 * 86_400_000 })
  const row = await stage.store.db.selectFrom('tasks').select('deadline_at').executeTakeFirstOrThrow()
  expect(row.deadline_at).toBe(pool.clock.now + 86_400_000)
})

test('the tasks of a board whose connection broke go to others after a moment of grace', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  await pool.dispatcher.boardGone(stage.a.device)
  pool.boards.splice(0, 1, candidate(stage.b.device))
  pool.clock.now += 4_999
  await pool.dispatcher.turn()
  expect(pool.leasedTo(stage.b.device)).toEqual([])
  pool.clock.now += 1
  await pool.dispatcher.turn()
  expect(pool.leasedTo(stage.b.device)).toEqual([task])
})
