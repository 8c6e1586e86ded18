// The pool's answers and stream frames: told until they are heard, counted when they are not, and forgotten in time.
import { expect, test } from 'vitest'
import { encodeFrame } from '../../broker/protocol/envelope.ts'
import { accounts } from '../../console/rewards/accounts.ts'
import { checkLedger } from '../../console/rewards/check.ts'
import { addRequester, candidate, JPEG, MODEL, startPool, success } from './pool.ts'
import { openStage } from './stage.ts'

const stage = openStage()

/** A board has answered t1, and the link takes nothing. */
async function answeredUnheard() {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  pool.link.up = false
  await pool.dispatcher.result(stage.a.device, task!, success(stage.a.device, task!, pool.clock.now))
  await pool.settled()
  return pool
}

test('waiting for an answer ends with it, at once when it is there, and with the signal', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  const waiting = pool.dispatcher.waitFor(task!, new AbortController().signal)
  const given = new AbortController()
  const givenUp = pool.dispatcher.waitFor(task!, given.signal)
  given.abort(new Error('the client left'))
  await expect(givenUp).rejects.toThrow('the client left')
  await pool.dispatcher.result(stage.a.device, task!, success(stage.a.device, task!, pool.clock.now))
  expect(await waiting).toMatchObject({ id: 't1' })
  expect(await pool.dispatcher.waitFor(task!, new AbortController().signal)).toMatchObject({ id: 't1' })
  await expect(pool.dispatcher.waitFor('nothing', new AbortController().signal)).rejects.toThrow('no task')
})

test('an answer whose hand-over failed is told again, and only until it is handed over', async () => {
  const pool = await answeredUnheard()
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
  const pool = await answeredUnheard()
  const next = await startPool(stage.store, pool.clock)
  await next.dispatcher.turn()
  await next.settled()
  expect(next.answersTo('t1')).toEqual(pool.answersTo('t1'))
  await next.dispatcher.turn()
  expect(next.answersTo('t1')).toHaveLength(1)
})

test('a lease that another console gave away meanwhile is not ended by the former holder', async () => {
  const pool = await startPool(stage.store)
  pool.boards.push(candidate(stage.a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  await stage.store.db.updateTable('tasks').set({ device_id: stage.b.device }).execute()
  expect(await pool.dispatcher.result(stage.a.device, task!, success(stage.a.device, task!, pool.clock.now))).toBe(
    'not-leased',
  )
  expect(pool.answersTo('t1')).toEqual([])
  expect(await stage.store.db.selectFrom('tasks').select('state').execute()).toEqual([{ state: 'leased' }])
})

test('of the frames of a stream the newest is leased, the others are counted, and the answer echoes its id', async () => {
  const pool = await startPool(stage.store)
  const frame = (id: string) =>
    pool.dispatcher.frame({
      requester: 'req-a',
      model: MODEL,
      payload: encodeFrame({ id, contentType: 'image/jpeg', data: JPEG }),
    })
  await Promise.all([frame('f1'), frame('f2'), frame('f3')])
  expect(pool.dispatcher.stats()).toMatchObject({ frames: 1, accepted: 0, today: { dropped: { 'newer-frame': 2 } } })
  pool.boards.push(candidate(stage.a.device))
  await pool.dispatcher.turn()
  const [task] = pool.leasedTo(stage.a.device)
  expect(pool.dispatcher.stats()).toMatchObject({ frames: 0, accepted: 1, leased: 1, lost: 0 })
  await pool.dispatcher.result(stage.a.device, task!, success(stage.a.device, task!, pool.clock.now))
  const [answer] = pool.sent.filter(({ topic }) => topic.kind === 'requester-out')
  expect(answer?.topic).toEqual({ kind: 'requester-out', requester: 'req-a', model: MODEL })
  expect(JSON.parse(String(answer?.payload))).toMatchObject({ id: 'f3', device: stage.a.device })
})

test('a stream frame nobody can take is dropped and counted, and its sender is told now and then', async () => {
  const pool = await startPool(stage.store)
  await addRequester(stage.store, 'poor', 10n)
  for (let i = 0; i < 3; i++) {
    await pool.dispatcher.frame({ requester: 'req-a', model: MODEL, payload: JPEG })
    pool.clock.now += 5_000
    await pool.dispatcher.turn()
  }
  pool.boards.push(candidate(stage.a.device))
  for (let i = 0; i < 3; i++) await pool.dispatcher.frame({ requester: 'poor', model: MODEL, payload: JPEG })
  expect(pool.dispatcher.stats().today.dropped).toEqual({ 'no-board': 3, 'budget-exhausted': 3 })
  const told = pool.sent.filter(({ topic }) => topic.kind === 'requester-out' && topic.requester === 'poor')
  expect(told.map(({ payload }) => JSON.parse(String(payload)).error.code)).toEqual(['budget-exhausted'])
  expect(pool.dispatcher.stats()).toMatchObject({ frames: 0, storedBytes: 0, lost: 0 })
  expect(await pool.balance(accounts.budget('poor'))).toBe(10n)
})

test('a task that vanished is counted as lost', async () => {
  const pool = await startPool(stage.store)
  await pool.offer('t1')
  await pool.offer('t2')
  await stage.store.db.deleteFrom('task_payloads').execute()
  await stage.store.db.deleteFrom('tasks').where('request_id', '=', 't1').execute()
  const next = await startPool(stage.store)
  expect(next.dispatcher.stats()).toMatchObject({ accepted: 2, queued: 1, lost: 1 })
})

test('what ended long ago is forgotten, but not while its money or its answer is open', async () => {
  const pool = await startPool(stage.store, undefined, { keptTasks: 0, unclaimedMs: 200_000 })
  pool.boards.push(candidate(stage.a.device))
  await pool.offer('t1')
  const [task] = pool.leasedTo(stage.a.device)
  await pool.dispatcher.result(stage.a.device, task!, success(stage.a.device, task!, pool.clock.now))
  await pool.settled()
  pool.clock.now += 100_000
  await pool.dispatcher.turn()
  expect(await stage.store.db.selectFrom('tasks').select('id').execute()).toHaveLength(1)
  pool.clock.now += 100_000
  await pool.dispatcher.turn()
  expect(await pool.balance(accounts.budget('req-a'))).toBe(1_000_000n)
  pool.clock.now += 60_000
  await pool.dispatcher.turn()
  expect(await stage.store.db.selectFrom('tasks').select('id').execute()).toEqual([])
  expect(pool.dispatcher.stats()).toMatchObject({ accepted: 1, lost: 0 })
  expect(await checkLedger(stage.store.db)).toMatchObject({ ok: true })
})

test('a failed task is kept until its requester was told', async () => {
  const pool = await startPool(stage.store, undefined, { keptTasks: 0 })
  await pool.offer('t1')
  pool.link.up = false
  for (let i = 0; i < 3; i++) {
    pool.clock.now += 60_000
    await pool.dispatcher.turn()
    await pool.settled()
  }
  expect(await stage.store.db.selectFrom('tasks').select('state').execute()).toEqual([{ state: 'failed' }])
  pool.link.up = true
  for (let i = 0; i < 2; i++) {
    pool.clock.now += 60_000
    await pool.dispatcher.turn()
    await pool.settled()
  }
  expect(await stage.store.db.selectFrom('tasks').select('id').execute()).toEqual([])
})
