import { describe, expect, test } from 'vitest'
import { RUNTIME, refusal, sample, task } from './buffer-rig.ts'
import { startOutbox } from './outbox-rig.ts'

describe('the outbox', () => {
  test('publishes an answer as soon as it is committed, and its receipt within half a second', async () => {
    const { broker, add, said, advance } = startOutbox()
    broker('on')
    add(1)
    await advance(0)
    expect(said()).toEqual(['t1'])
    add(2)
    await advance(5)
    expect(said()).toEqual(['t2'])
    await advance(500)
    expect(said()).toEqual(['#1'])
  })

  test('cuts a batch in time although answers never stop coming', async () => {
    const { broker, add, said, advance } = startOutbox()
    broker('on')
    for (let n = 0; n < 40; n += 1) {
      add(n)
      await advance(10)
    }
    expect(said().indexOf('#1')).toBeGreaterThan(20)
  })

  test('an answer does not wait for the acks of the batches before its own', async () => {
    const { broker, add, said, advance } = startOutbox()
    broker('on')
    for (let n = 0; n < 1_000; n += 1) {
      add(n)
      await advance(3)
    }
    await advance(5)
    const words = said()
    expect(
      words.filter((word) => word.startsWith('#')),
      'as many as may go without an ack',
    ).toHaveLength(8)
    expect(words.filter((word) => word.startsWith('t'))).toHaveLength(1_000)
  })

  test('says nothing twice while acks come', async () => {
    const { broker, add, said, advance, outbox, buffer } = startOutbox()
    broker('on')
    add(1)
    await advance(1_000)
    outbox.acknowledged(1)
    expect(said()).toEqual(['t1', '#1'])
    await advance(60_000)
    expect(said()).toEqual([])
    expect(buffer.owed()).toBe(0)
  })

  test('hands batches over in the order of their chain, also when the first has to wait for its results', async () => {
    const { broker, add, said, advance, pending } = startOutbox()
    broker('silent')
    add(1)
    await advance(1_000)
    add(2)
    await advance(10)
    expect(said()).toEqual(['t1', 't2'])
    pending.pop()?.resolve()
    await advance(3_000)
    expect(said()).toEqual([])
    pending.shift()?.resolve()
    await advance(10)
    expect(said()).toEqual(['#1', '#2'])
  })

  test('never has more than 24 answers in flight', async () => {
    const { broker, add, advance, pending } = startOutbox()
    broker('silent')
    for (let n = 0; n < 60; n += 1) add(n)
    await advance(50)
    expect(pending).toHaveLength(24)
    pending.shift()?.resolve()
    await advance(1)
    expect(pending).toHaveLength(24)
  })

  test('sends at most eight batches without an ack', async () => {
    const { broker, buffer, commits, said, advance, outbox } = startOutbox()
    const origin = buffer.origin('boot', RUNTIME)
    for (let n = 0; n < 1_000; n += 1) commits.add(task(n, origin))
    await advance(1_000)
    broker('on')
    await advance(1_000)
    expect(said().filter((one) => one.startsWith('#'))).toHaveLength(8)
    outbox.acknowledged(8)
    await advance(1_000)
    expect(said()).toEqual(expect.arrayContaining(['#9', '#10']))
  })

  test('takes the PUBACK as the ack where there is no console', async () => {
    const { broker, commits, said, advance, buffer } = startOutbox({ console: false })
    const { receipt: _, ...plain } = task(1, 0)
    broker('on')
    commits.add(plain)
    await advance(5_000)
    expect(said()).toEqual(['t1'])
    expect(buffer.owed()).toBe(0)
  })

  test('tells when everything is published', async () => {
    const { broker, add, advance, outbox, pending } = startOutbox()
    broker('silent')
    add(1)
    await advance(0)
    let done = false
    const published = outbox.published().then(() => {
      done = true
    })
    await advance(0)
    expect(done).toBe(false)
    for (const { resolve } of pending.splice(0)) resolve()
    await published
  })
})

describe('what need not be kept', () => {
  test('goes out without touching the card, and is written only when it cannot be sent', async () => {
    const { broker, outbox, said, advance, buffer } = startOutbox()
    broker('on')
    outbox.take(sample(1))
    outbox.take(refusal(1, false))
    await advance(10)
    expect(said()).toEqual(['s1', 'r1'])
    expect(buffer.lastRow()).toBe(0)
    broker('off')
    outbox.take(sample(2))
    await advance(10)
    expect(buffer.lastRow()).toBe(1)
    broker('on')
    await advance(10)
    expect(said()).toEqual(['s2'])
  })

  test('is written when the connection breaks under it, or when too much is under way', async () => {
    const { broker, outbox, said, advance, pending } = startOutbox()
    broker('silent')
    for (let n = 0; n < 30; n += 1) outbox.take(sample(n))
    await advance(10)
    expect(pending).toHaveLength(24)
    broker('off')
    await advance(10)
    said()
    broker('on')
    await advance(100)
    expect(new Set(said())).toEqual(new Set(Array.from({ length: 30 }, (_, n) => `s${n}`)))
  })

  test('is told while the disk takes nothing, and ends there without a connection', async () => {
    const { broker, add, outbox, said, advance, commits, buffer } = startOutbox({
      write: () => () => {
        throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })
      },
    })
    broker('on')
    add(1)
    await advance(10)
    outbox.take(refusal(1, false))
    await advance(10)
    expect(said()).toEqual(['r1'])
    broker('off')
    for (let n = 0; n < 1_000; n += 1) outbox.take(refusal(n, false))
    await advance(10)
    expect(commits.pending()).toBe(1)
    expect(buffer.lastRow()).toBe(0)
  })
})
