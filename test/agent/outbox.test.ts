import { statSync } from 'node:fs'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Buffer as Outbox } from '../../agent/outbox/buffer.ts'
import { createCommits } from '../../agent/outbox/commits.ts'
import { createOutbox } from '../../agent/outbox.ts'
import { LinkError } from '../../broker/link/terms.ts'
import { ResultMessage } from '../../broker/protocol/messages.ts'
import { createRig, DEVICE, idOf, RUNTIME, refusal, sample, task } from './buffer-rig.ts'
import { createFakeClock } from './fake-clock.ts'

const log = pino({ level: 'silent' })
let rig: ReturnType<typeof createRig>
beforeEach(() => {
  rig = createRig()
})
afterEach(() => rig.remove())

/** The outbox over a real buffer and a broker that is on, off or silent. */
function start(
  options: { console?: boolean; write?: (real: Outbox['write']) => Outbox['write']; inHouse?: () => number } = {},
) {
  const { clock, advance, set, elapse } = createFakeClock()
  const buffer = rig.open()
  const origin = buffer.origin('boot', RUNTIME)
  const said: string[] = []
  const texts: string[] = []
  /** What the broker says to a publish that it does not take. */
  let refuses: ((payload: string) => Error | undefined) | undefined
  const pending: { resolve: () => void; reject: (error: Error) => void }[] = []
  let broker: 'on' | 'off' | 'silent' = 'on'
  const publish = (topic: string, payload: string): Promise<void> => {
    if (broker === 'off') return Promise.reject(new Error('not connected'))
    const refusal = refuses?.(payload)
    if (refusal) return Promise.reject(refusal)
    texts.push(payload)
    said.push(topic === 'receipts' ? `#${rig.verify(payload).seq}` : idOf({ payload }))
    return broker === 'on' ? Promise.resolve() : new Promise((resolve, reject) => pending.push({ resolve, reject }))
  }
  const commits = createCommits({
    buffer: { ...buffer, write: options.write?.(buffer.write) ?? buffer.write },
    clock,
    log,
    ...(options.inHouse && { inHouse: options.inHouse }),
    onWritten: () => outbox.wake(),
  })
  const outbox = createOutbox({
    buffer,
    commits,
    clock,
    log,
    publish,
    topicOf: () => 'out',
    ...(options.console !== false && { receiptsTopic: 'receipts' }),
  })
  return {
    buffer,
    commits,
    outbox,
    advance,
    set,
    elapsing: elapse,
    pending,
    add: (n: number) => commits.add(task(n, origin)),
    /** What was published since the last call. */
    said: (): string[] => said.splice(0),
    /** The same, as it was sent. */
    sent: (): string[] => texts.splice(0),
    refuse(when: typeof refuses): void {
      refuses = when
    },
    broker(next: typeof broker): void {
      broker = next
      if (next === 'off') {
        outbox.disconnected()
        for (const { reject } of pending.splice(0)) reject(new Error('disconnected'))
      } else outbox.connected()
    },
  }
}

describe('the outbox', () => {
  test('publishes an answer as soon as it is committed, and its receipt within half a second', async () => {
    const { broker, add, said, advance } = start()
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
    const { broker, add, said, advance } = start()
    broker('on')
    for (let n = 0; n < 40; n += 1) {
      add(n)
      await advance(10)
    }
    expect(said().indexOf('#1')).toBeGreaterThan(20)
  })

  test('an answer does not wait for the acks of the batches before its own', async () => {
    const { broker, add, said, advance } = start()
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
    const { broker, add, said, advance, outbox, buffer } = start()
    broker('on')
    add(1)
    await advance(1_000)
    outbox.acknowledged(1)
    expect(said()).toEqual(['t1', '#1'])
    await advance(60_000)
    expect(said()).toEqual([])
    expect(buffer.owed()).toBe(0)
  })

  test('sends results and batch again, in order, when no ack came for ten seconds', async () => {
    const { broker, add, said, advance, outbox } = start()
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

  test('an answer larger than the broker takes becomes an error, and nothing waits for it', async () => {
    const { broker, commits, outbox, add, said, sent, advance, refuse } = start({ console: false })
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
    const { broker, add, said, advance, refuse, buffer, outbox } = start()
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

  test('goes on when the wall clock is set back an hour', async () => {
    const { broker, add, said, advance, set } = start()
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
    const { broker, add, said, advance, outbox, buffer } = start()
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
    const { broker, commits, add, said, advance, pending } = start()
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
    const { broker, add, said, advance } = start()
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
    const { broker, add, said, advance, pending } = start()
    broker('silent')
    add(1)
    await advance(1_000)
    expect(said()).toEqual(['t1'])
    pending.shift()?.resolve()
    await advance(10)
    expect(said()).toEqual(['#1'])
  })

  test('hands batches over in the order of their chain, also when the first has to wait for its results', async () => {
    const { broker, add, said, advance, pending } = start()
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

  test('goes on after a publish was refused on a connection that stayed', async () => {
    const { broker, add, said, advance, pending } = start()
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
    const { broker, add, said, advance, outbox, buffer } = start()
    broker('on')
    add(1)
    await advance(1_000)
    outbox.acknowledged(1)
    await advance(5_000)
    said()
    broker('off')
    for (let n = 0; n < 100; n += 1) outbox.again(buffer.answered('m', 't1')?.seq ?? 0)
    broker('on')
    await advance(10)
    expect(said()).toEqual(['t1'])
  })

  test('never has more than 24 answers in flight', async () => {
    const { broker, add, advance, pending } = start()
    broker('silent')
    for (let n = 0; n < 60; n += 1) add(n)
    await advance(50)
    expect(pending).toHaveLength(24)
    pending.shift()?.resolve()
    await advance(1)
    expect(pending).toHaveLength(24)
  })

  test('sends at most eight batches without an ack', async () => {
    const { broker, buffer, commits, said, advance, outbox } = start()
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
    const { broker, commits, said, advance, buffer } = start({ console: false })
    const { receipt: _, ...plain } = task(1, 0)
    broker('on')
    commits.add(plain)
    await advance(5_000)
    expect(said()).toEqual(['t1'])
    expect(buffer.owed()).toBe(0)
  })

  test('publishes a stored answer again when its task comes again', async () => {
    const { broker, add, said, advance, outbox, buffer } = start()
    broker('on')
    add(1)
    await advance(1_000)
    outbox.acknowledged(1)
    await advance(5_000)
    said()
    outbox.again(buffer.answered('m', 't1')?.seq ?? 0)
    await advance(0)
    expect(said()).toEqual(['t1'])
  })

  test('does not believe an ack for a batch that was never made', async () => {
    const { broker, add, advance, outbox, buffer } = start()
    broker('on')
    add(1)
    await advance(1_000)
    outbox.acknowledged(7)
    await advance(5_000)
    expect(buffer.owed()).toBe(2)
  })

  test('begins a new chain when the console, for a minute, names less than it had acknowledged', async () => {
    const { broker, add, said, advance, outbox, buffer } = start()
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

  test('tells when everything is published', async () => {
    const { broker, add, advance, outbox, pending } = start()
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
    const { broker, outbox, said, advance, buffer } = start()
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
    const { broker, outbox, said, advance, pending } = start()
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
    const { broker, add, outbox, said, advance, commits, buffer } = start({
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

describe('commits', () => {
  const full = Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })

  test('share one write when answers come together', async () => {
    let writes = 0
    const { add, advance, broker, said } = start({
      write: (real) => (changes) => {
        writes += 1
        return real(changes)
      },
    })
    broker('on')
    for (let n = 0; n < 10; n += 1) add(n)
    await advance(5)
    expect(writes).toBe(1)
    expect(said()).toHaveLength(10)
  })

  test('keep an answer that the disk refused, take no work meanwhile, and write it later', async () => {
    let broken = true
    const { add, advance, broker, said, commits } = start({
      write: (real) => (changes) => {
        if (broken) throw full
        return real(changes)
      },
    })
    broker('on')
    add(1)
    await advance(10)
    expect(commits.failing()).toBe(true)
    expect(said()).toEqual([])
    broken = false
    await advance(1_000)
    expect(commits.failing()).toBe(false)
    expect(said()).toContain('t1')
  })

  test('come twice as far apart as the last one took, so that a slow card has time for other work', async () => {
    let elapse: (ms: number) => void = () => undefined
    let writes = 0
    const { add, advance, broker, elapsing } = start({
      write: (real) => (changes) => {
        writes += 1
        elapse(40)
        return real(changes)
      },
    })
    elapse = elapsing
    broker('on')
    for (let n = 0; n < 100; n += 1) {
      add(n)
      await advance(4)
    }
    expect(writes).toBeLessThanOrEqual(5)
  })

  test('wait for the answers of a long line, but not for one that has got short', async () => {
    let line = 0
    const { add, advance, broker, said } = start({ inHouse: () => line })
    broker('on')
    add(0)
    await advance(0)
    line = 10
    add(1)
    await advance(29)
    expect(said()).toEqual(['t0'])
    await advance(1)
    expect(said()).toEqual(['t1'])
    line = 1_000
    add(2)
    await advance(99)
    expect(said()).toEqual([])
    line = 1
    add(3)
    await advance(0)
    expect(said()).toEqual(['t2', 't3'])
  })

  test('copy the log into the file after a quarter minute without work, if it has grown', async () => {
    const { add, advance, broker, outbox } = start()
    broker('on')
    const size = (suffix: string) => statSync(`${rig.file}${suffix}`).size
    for (let n = 0; n < 40; n += 1) {
      add(n)
      await advance(20)
    }
    await advance(2_000)
    outbox.acknowledged(8)
    expect(size('-wal')).toBeGreaterThan(100_000)
    await advance(30_000)
    expect(size('-wal')).toBe(0)
    add(41)
    await advance(30_000)
    expect(size('-wal')).toBeGreaterThan(0)
  })

  test('end the process when the file itself is broken', async () => {
    const { add, advance } = start({
      write: () => () => {
        throw Object.assign(new Error('malformed'), { code: 'SQLITE_CORRUPT' })
      },
    })
    add(1)
    await expect(advance(10)).rejects.toThrow('malformed')
  })
})
