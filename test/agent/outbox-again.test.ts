import { describe, expect, test } from 'vitest'
import { LinkError } from '../../broker/link/terms.ts'
import { ResultMessage } from '../../broker/protocol/messages.ts'
import { DEVICE, idOf, refusal, sample } from './buffer-rig.ts'
import { startOutbox } from './outbox-rig.ts'

/** One answer, told and acknowledged. */
async function settled() {
  const started = startOutbox()
  started.broker('on')
  started.add(1)
  await started.advance(1_000)
  started.outbox.acknowledged(1)
  await started.advance(5_000)
  started.said()
  return started
}

describe('the outbox, over a broker that is away, silent or refuses', () => {
  test('sends results and batch again, in order, when no ack came for ten seconds', async () => {
    const { broker, add, said, advance, outbox } = startOutbox()
    broker('on')
    add(1)
    add(2)
    await advance(510)
    add(3)
    await advance(510)
    expect(said()).toEqual(['t1', 't2', '#1', 't3', '#2'])
    await advance(8_900)
    expect(said()).toEqual([])
    await advance(2_000)
    const again = said()
    expect(again.indexOf('t1')).toBeLessThan(again.indexOf('#1'))
    expect(again.indexOf('t2')).toBeLessThan(again.indexOf('#1'))
    expect(again.indexOf('t3')).toBeLessThan(again.indexOf('#2'))
    expect([...again].sort()).toEqual(['#1', '#2', 't1', 't2', 't3'])
    outbox.acknowledged(2)
    await advance(60_000)
    expect(said()).toEqual([])
  })

  test('a console that is away is sent the same batches ever more rarely, and gets all of them soon after it is back', async () => {
    const { broker, add, said, advance, outbox, buffer } = startOutbox()
    broker('on')
    for (let n = 0; n < 1_000; n += 1) add(n)
    await advance(1_000)
    await advance(3_600_000)
    expect(said().length, 'of 290,000 when the window went out every ten seconds').toBeLessThan(10_000)
    let waitedS = 0
    for (; buffer.owed() > 0 && waitedS < 1_000; waitedS += 1) {
      await advance(1_000)
      const seqs = said().flatMap((text) => (text.startsWith('#') ? [Number(text.slice(1))] : []))
      if (seqs.length > 0) outbox.acknowledged(Math.max(...seqs))
    }
    expect(waitedS).toBeLessThan(320)
  })

  test('an answer larger than the broker takes becomes an error, and nothing waits for it', async () => {
    const { broker, commits, outbox, add, said, sent, advance, refuse } = startOutbox({ console: false })
    broker('on')
    refuse((payload) =>
      payload.length > 2_000 ? new LinkError('too-large', '5021 bytes, and b takes at most 2000') : undefined,
    )
    const head = {
      id: 't1',
      model: 'm@1',
      device: DEVICE,
      at: '2026-11-22T00:00:00.000Z',
      ms: { queue: 0, decode: 1, infer: 2 },
    }
    const payload = JSON.stringify({
      ...head,
      digest: 'a'.repeat(64),
      result: { kind: 'tensor', pad: 'x'.repeat(5_000) },
    })
    commits.add({ kind: 'task', model: 'm', task: 't1', payload, remember: true })
    add(2)
    await advance(10)
    expect(said()).toEqual(['t2', 't1'])
    expect(ResultMessage.parse(JSON.parse(sent().find((text) => idOf({ payload: text }) === 't1') ?? ''))).toEqual({
      ...head,
      error: { code: 'too-large', message: 'the answer cannot be sent: 5021 bytes, and b takes at most 2000' },
    })
    await outbox.published()
  })

  test('what the broker refuses is tried again now and then, and the rest goes on at once', async () => {
    const { broker, add, said, advance, refuse, buffer, outbox } = startOutbox()
    broker('on')
    refuse((payload) => (payload.includes('"t1"') ? new LinkError('publish-refused', 'Not authorized') : undefined))
    add(1)
    add(2)
    await advance(10)
    add(3)
    await advance(10)
    expect(said()).toEqual(['t2', 't3'])
    expect(buffer.owed()).toBe(3)
    refuse(undefined)
    await advance(20_000)
    expect(said()).toContain('t1')
    outbox.acknowledged(buffer.lastSeq())
    await advance(60_000)
    expect(buffer.owed()).toBe(0)
  })

  test('what the broker goes on refusing is tried ever more rarely, and said once', async () => {
    const { broker, commits, advance, refuse, buffer, logged } = startOutbox({ console: false })
    let tries = 0
    broker('on')
    refuse(() => {
      tries += 1
      return new LinkError('publish-refused', 'Not authorized')
    })
    for (let n = 0; n < 20; n += 1) commits.add(refusal(n))
    await advance(86_400_000)
    expect(tries).toBeLessThan(20 * 160)
    expect(logged()).toEqual(['the broker refuses an answer; it is kept and tried again'])
    refuse(undefined)
    await advance(610_000)
    expect(buffer.owed()).toBe(0)
    refuse(() => new LinkError('publish-refused', 'Not authorized'))
    await advance(3_600_000)
    commits.add(refusal(20))
    await advance(1_000)
    expect(logged()).toHaveLength(2)
    refuse(undefined)
    await advance(13_000)
    expect(buffer.owed()).toBe(0)
  })

  test('goes on when the wall clock is set back an hour', async () => {
    const { broker, add, said, advance, set } = startOutbox()
    broker('on')
    add(1)
    await advance(1_000)
    set(-3_600_000)
    said()
    await advance(12_000)
    expect(said()).toEqual(expect.arrayContaining(['t1', '#1']))
    add(2)
    await advance(1_000)
    expect(said()).toEqual(expect.arrayContaining(['t2', '#2']))
  })

  test('keeps everything while the broker is away and sends it when it is back', async () => {
    const { broker, add, said, advance, outbox, buffer } = startOutbox()
    for (let n = 0; n < 5; n += 1) add(n)
    await advance(1_000)
    expect(said()).toEqual([])
    broker('on')
    await advance(0)
    expect(said()).toEqual(['t0', 't1', 't2', 't3', 't4', '#1'])
    outbox.acknowledged(1)
    await advance(5_000)
    expect(buffer.owed()).toBe(0)
  })

  test('sends again what was in flight when the connection broke', async () => {
    const { broker, commits, add, said, advance, pending } = startOutbox()
    broker('silent')
    add(1)
    commits.add(sample(1))
    commits.add(refusal(1))
    await advance(0)
    expect(pending).toHaveLength(3)
    broker('off')
    await advance(1_000)
    said()
    broker('on')
    await advance(1_000)
    expect(said().sort()).toEqual(['#1', 'r1', 's1', 't1'])
  })

  test('sends what was not acknowledged again at once on a new connection', async () => {
    const { broker, add, said, advance } = startOutbox()
    broker('on')
    add(1)
    await advance(1_000)
    expect(said()).toEqual(['t1', '#1'])
    broker('off')
    broker('on')
    await advance(10)
    expect(said()).toEqual(['t1', '#1'])
  })

  test('does not send a result twice because its batch was cut while its PUBACK was still out', async () => {
    const { broker, add, said, advance, pending } = startOutbox()
    broker('silent')
    add(1)
    await advance(1_000)
    expect(said()).toEqual(['t1'])
    pending.shift()?.resolve()
    await advance(10)
    expect(said()).toEqual(['#1'])
  })

  test('goes on after a publish was refused on a connection that stayed', async () => {
    const { broker, add, said, advance, pending } = startOutbox()
    broker('silent')
    add(1)
    await advance(10)
    pending.shift()?.reject(new Error('quota exceeded'))
    await advance(10)
    add(2)
    await advance(4_000)
    expect(said()).toEqual(['t1'])
    await advance(2_000)
    expect(said()).toEqual(['t1', 't2'])
  })

  test('sends a stored answer once, however often its task came while there was no connection', async () => {
    const { broker, said, advance, outbox, buffer } = await settled()
    broker('off')
    for (let n = 0; n < 100; n += 1) outbox.again(buffer.answered('m', 't1')?.seq ?? 0)
    broker('on')
    await advance(10)
    expect(said()).toEqual(['t1'])
  })

  test('publishes a stored answer again when its task comes again', async () => {
    const { said, advance, outbox, buffer } = await settled()
    outbox.again(buffer.answered('m', 't1')?.seq ?? 0)
    await advance(0)
    expect(said()).toEqual(['t1'])
  })

  test('does not believe an ack for a batch that was never made', async () => {
    const { broker, add, advance, outbox, buffer } = startOutbox()
    broker('on')
    add(1)
    await advance(1_000)
    outbox.acknowledged(7)
    await advance(5_000)
    expect(buffer.owed()).toBe(2)
  })

  test('begins a new chain when the console, for a minute, names less than it had acknowledged', async () => {
    const { broker, add, said, advance, outbox, buffer } = startOutbox()
    broker('on')
    for (const n of [1, 2, 3]) {
      add(n)
      await advance(1_000)
    }
    outbox.acknowledged(2)
    await advance(100)
    const chain = buffer.chain()
    said()
    // From a backup of when it had one batch.
    outbox.acknowledged(1)
    await advance(30_000)
    outbox.acknowledged(1)
    expect(buffer.chain(), 'a late ack means nothing').toBe(chain)
    await advance(30_000)
    outbox.acknowledged(1)
    expect(buffer.chain()).not.toBe(chain)
    said()
    await advance(1_000)
    expect(said(), 'also on a board that has nothing more to say').toEqual(['t3', '#1'])
    add(4)
    await advance(1_000)
    expect(said()).toEqual(['t4', '#2'])
    outbox.acknowledged(buffer.lastSeq())
    await advance(1_000)
    outbox.acknowledged(buffer.lastSeq())
    await advance(60_000)
    expect(buffer.owed()).toBe(0)
  })

  test('says of each outage, and once, that what need not be kept is lost for want of a disk', async () => {
    const { broker, add, advance, outbox, logged } = startOutbox({
      write: () => () => {
        throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })
      },
    })
    add(1)
    for (let outage = 0; outage < 3; outage += 1) {
      broker('off')
      await advance(2_000)
      for (let n = 0; n < 5; n += 1) outbox.take(sample(n))
      broker('on')
    }
    expect(logged().filter((line) => /are lost/.test(line))).toHaveLength(3)
  })
})
