import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createPlaces } from '../../agent/frames/places.ts'
import { createQueue, type Waiting } from '../../agent/frames/queue.ts'
import { LEASH_MS } from '../../agent/frames/turns.ts'

interface Item extends Waiting {
  readonly n?: number
}

const item = (more: Partial<Item> = {}): Item => ({
  kind: 'task',
  model: 'm',
  source: 'm',
  arrivedAt: 0,
  bytes: 10,
  ...more,
})
const limits = { framesPerModel: 4, bytesPerModel: 100 }
const RUN_MS = 10
const open = (more: Partial<typeof limits> = {}, leadMs = 0) =>
  createQueue<Item>({ ...limits, ...more }, { cost: () => RUN_MS, lead: () => leadMs })
const roomy = { framesPerModel: 100_000, bytesPerModel: 1e9 }

describe('the places of the queue', () => {
  test('are bounded by count, for each model by itself', () => {
    const queue = open()
    for (let n = 0; n < 4; n += 1) expect(queue.offer(item()).ok).toBe(true)
    expect(queue.offer(item()).ok).toBe(false)
    expect(queue.offer(item({ model: 'other' })).ok).toBe(true)
  })

  test('are bounded by bytes, but a newer frame takes those of the old one', () => {
    const queue = open()
    queue.offer(item({ kind: 'frame', bytes: 60 }))
    expect(queue.offer(item({ bytes: 60 })).ok).toBe(false)
    expect(queue.offer(item({ kind: 'frame', bytes: 100 })).ok).toBe(true)
    expect(queue.bytes()).toBe(100)
  })

  test('keep only the newest frame of a source and say which one it replaced', () => {
    const queue = open()
    expect(queue.offer(item({ kind: 'frame', n: 1 }))).toEqual({ ok: true, displaced: [] })
    expect(queue.offer(item({ kind: 'frame', n: 2 }))).toMatchObject({ ok: true, replaced: { n: 1 } })
    expect(queue.offer(item({ kind: 'frame', source: 'other', n: 3 }))).toEqual({ ok: true, displaced: [] })
    expect(queue.size()).toBe(2)
    expect(queue.take(0)).toMatchObject({ n: 2 })
  })

  test('go to a newcomer from the source that holds most, which gives up what it wants last', () => {
    const queue = open()
    for (const deadline of [100, 400, 300, 200]) queue.offer(item({ source: 'flood', deadline }))
    expect(queue.offer(item({ source: 'newcomer' }))).toMatchObject({ ok: true, displaced: [{ deadline: 400 }] })
    expect(queue.offer(item({ source: 'newcomer' }))).toMatchObject({ ok: true, displaced: [{ deadline: 300 }] })
    expect(queue.offer(item({ source: 'newcomer' })).ok).toBe(false)
    expect(queue.offer(item({ source: 'flood' })).ok).toBe(false)
    expect(queue.size()).toBe(4)
  })

  test('go to a newcomer by bytes as well, as many as it takes', () => {
    const queue = open()
    for (let n = 0; n < 3; n += 1) queue.offer(item({ source: 'flood', bytes: 33 }))
    expect(queue.offer(item({ source: 'newcomer', bytes: 50 }))).toMatchObject({ displaced: [{}, {}] })
    expect(queue.bytes()).toBe(83)
  })

  test('that a newer frame took over are not held against its source', () => {
    const queue = open()
    for (let n = 0; n < 10; n += 1) queue.offer(item({ kind: 'frame', source: 'camera', bytes: 20 }))
    for (const deadline of [100, 200]) queue.offer(item({ source: 'flood', bytes: 40, deadline }))
    expect(queue.offer(item({ source: 'camera', bytes: 20 }))).toMatchObject({ displaced: [{ deadline: 200 }] })
  })
})

describe('the books of the queue', () => {
  test('hold nothing of a stream that does not wait, however many names came by', () => {
    const queue = open(roomy)
    const places = createPlaces<Item>()
    for (let n = 0; n < 1_000; n += 1) {
      const one = item({ kind: 'frame', source: `s${n}` })
      const source = places.source(one.source)
      places.put(source, one)
      source.lines.get('m')?.takeAll()
      places.gone(source, 'm', [one])
      queue.offer(one)
    }
    expect(places.room('m').streams.size).toBe(0)
    expect(places.turns.waiting.size).toBe(0)
    // A thousand streams at once: those beyond the accounts share one, and each keeps its own frame.
    expect(queue.size()).toBe(1_000)
    for (let n = 0; n < 1_000; n += 1)
      expect(queue.offer(item({ kind: 'frame', source: `s${n}`, n }))).toHaveProperty('replaced')
    expect(new Set(Array.from({ length: 1_000 }, () => queue.take(0)?.n)).size).toBe(1_000)
  })
})

describe('whose turn it is', () => {
  test('goes by earliest deadline within a source, whatever the order of arrival', () => {
    const queue = open()
    for (const deadline of [300, 100, 200]) queue.offer(item({ deadline }))
    expect([1, 2, 3].map(() => queue.take(0)?.deadline)).toEqual([100, 200, 300])
  })

  test('goes by earliest deadline between sources too, while none is ahead of the others by more than the leash', () => {
    const queue = open(roomy)
    for (let n = 0; n < 40; n += 1) queue.offer(item({ source: 'urgent', deadline: 1_000 }))
    queue.offer(item({ source: 'patient', deadline: 20_000 }))
    const order = Array.from({ length: 41 }, () => queue.take(0)?.source)
    expect(order.indexOf('patient')).toBe(LEASH_MS / RUN_MS + 1)
  })

  test('alternates between those who want more than there is', () => {
    const queue = open(roomy)
    for (let n = 0; n < 1_000; n += 1) queue.offer(item({ source: 'flood', deadline: 1_000 + n }))
    for (let n = 0; n < 100; n += 1) queue.offer(item({ source: 'other', deadline: 5_000 + n }))
    const first = Array.from({ length: 200 }, () => queue.take(0)?.source)
    expect(first.filter((source) => source === 'other').length).toBeGreaterThan(80)
  })

  test('goes by what the runs really cost, not by their number', () => {
    const queue = open(roomy)
    for (let n = 0; n < 1_000; n += 1)
      for (const source of ['slow', 'quick']) queue.offer(item({ source, deadline: 10_000 }))
    const got: Record<string, number> = { slow: 0, quick: 0 }
    for (let n = 0; n < 600; n += 1) {
      const { source = '' } = queue.take(0) ?? {}
      got[source] = (got[source] ?? 0) + 1
      if (source === 'slow') queue.charge(source, 4 * RUN_MS)
    }
    expect(got['quick']).toBeGreaterThan(4 * (got['slow'] ?? 0))
  })

  test('forgets nothing of who has had how much, but pays nobody for having been away', () => {
    const queue = open(roomy)
    for (let n = 0; n < 500; n += 1) queue.offer(item({ source: 'steady', deadline: 10_000 }))
    for (let n = 0; n < 300; n += 1) queue.take(0)
    for (let n = 0; n < 500; n += 1) queue.offer(item({ source: 'late-comer', deadline: 10_000 }))
    const next = Array.from({ length: 100 }, () => queue.take(0)?.source)
    expect(next.filter((source) => source === 'steady').length).toBeGreaterThan(30)
  })

  test('comes to who was away at most a leash earlier than to who worked all the while', () => {
    const queue = open(roomy)
    queue.offer(item({ source: 'away', deadline: 1e6 }))
    queue.take(0)
    for (let n = 0; n < 1_000; n += 1) queue.offer(item({ source: 'steady', deadline: 1e6 + n }))
    for (let n = 0; n < 500; n += 1) queue.take(0)
    for (let n = 0; n < 500; n += 1) queue.offer(item({ source: 'away', deadline: 2e6 + n }))
    const next = Array.from({ length: 200 }, () => queue.take(0)?.source)
    expect(next.filter((source) => source === 'steady').length).toBeGreaterThan(200 / 2 - (2 * LEASH_MS) / RUN_MS)
  })

  test('does not push a fast camera back each time a newer frame of it comes', () => {
    const queue = open()
    queue.offer(item({ kind: 'frame', arrivedAt: 0 }))
    queue.offer(item({ deadline: 1_500 }))
    queue.offer(item({ kind: 'frame', arrivedAt: 900 }))
    expect(queue.take(950)).toMatchObject({ kind: 'frame', arrivedAt: 900 })
  })

  test('goes to the freshest of the streams that have had about the same', () => {
    const queue = open()
    queue.offer(item({ kind: 'frame', source: 'a', arrivedAt: 0 }))
    queue.offer(item({ kind: 'frame', source: 'b', arrivedAt: 40 }))
    queue.offer(item({ kind: 'frame', source: 'c', arrivedAt: 20 }))
    expect([1, 2, 3].map(() => queue.take(50)?.source)).toEqual(['b', 'c', 'a'])
  })

  test('goes to what can still be met before what cannot, and to that before nothing', () => {
    const queue = open({}, 100)
    queue.offer(item({ deadline: 90 }))
    queue.offer(item({ deadline: 95 }))
    queue.offer(item({ deadline: 400 }))
    expect([1, 2, 3].map(() => queue.take(0)?.deadline)).toEqual([400, 95, 90])
  })

  test('waits where the caller says that it is not the moment, and nobody overtakes', () => {
    const queue = open()
    queue.offer(item({ kind: 'frame', source: 'camera' }))
    queue.offer(item({ deadline: 5_000 }))
    expect(queue.take(0, ({ kind }) => kind === 'task')).toBeUndefined()
    expect(queue.take(0)).toMatchObject({ kind: 'frame' })
  })

  test('never comes for what expired', () => {
    const queue = open()
    queue.offer(item({ deadline: 10, n: 1 }))
    queue.offer(item({ deadline: 30, n: 2 }))
    queue.offer(item({ kind: 'frame', deadline: 5, n: 3 }))
    expect(queue.expire(10)).toMatchObject([{ n: 1 }, { n: 3 }])
    expect(queue.expire(11)).toEqual([])
    expect(queue.take(10)).toMatchObject({ n: 2 })
  })

  test('is found nearly as quickly among a hundred thousand as among a thousand', () => {
    const filled = (size: number) => {
      const queue = open(roomy)
      for (let n = 0; n < size; n += 1)
        queue.offer(item({ source: `s${n % 20}`, deadline: 1_000_000 - ((n * 7_919) % 900_000) }))
      return queue
    }
    // CPU and not time: others use this machine.
    const cpuOf = (queue: ReturnType<typeof filled>): number => {
      const before = process.cpuUsage()
      for (let n = 0; n < 5_000; n += 1) {
        queue.expire(n)
        queue.take(n)
        queue.offer(item({ source: 's3', deadline: 500_000 + n }))
      }
      const { user, system } = process.cpuUsage(before)
      return user + system
    }
    const [small, large] = [filled(1_000), filled(100_000)]
    cpuOf(small)
    const once = cpuOf(small)
    // Looked at one by one it would be a hundred times as much.
    expect(cpuOf(large) / once).toBeLessThan(20)
  })

  test('says how much is ahead: all of it, or its own backlog at its share', () => {
    const queue = open(roomy)
    for (let n = 0; n < 30; n += 1) queue.offer(item({ source: 'flood' }))
    for (let n = 0; n < 5; n += 1) queue.offer(item({ source: 'small' }))
    expect(queue.aheadMs('flood')).toBe(35 * RUN_MS)
    expect(queue.aheadMs('small')).toBe(10 * RUN_MS)
    expect(queue.aheadMs('nobody')).toBe(35 * RUN_MS)
  })
})

describe('whatever comes', () => {
  const offer = fc.record({
    kind: fc.constantFrom('task' as const, 'task' as const, 'frame' as const),
    model: fc.constantFrom('a', 'b'),
    source: fc.constantFrom('x', 'y', 'z'),
    deadline: fc.option(fc.integer({ min: 0, max: 80 }), { nil: undefined }),
    bytes: fc.integer({ min: 1, max: 60 }),
  })
  const step = fc.oneof(
    { weight: 8, arbitrary: offer },
    { weight: 4, arbitrary: fc.constantFrom('take' as const, 'take frames later' as const, 'expire' as const) },
    { weight: 1, arbitrary: fc.constantFrom('clear' as const, 'drop frames' as const) },
  )

  test('every frame is accounted for, no bound is passed, nothing expired is next, and of a stream only the newest waits', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), fc.integer({ min: 0, max: 20 }), (steps, leadMs) => {
        const queue = open({}, leadMs)
        const inside = new Map<Item, string>()
        const leave = (gone: Item): void => expect(inside.delete(gone), 'it was inside').toBe(true)
        steps.forEach((next, at) => {
          if (next === 'take' || next === 'take frames later') {
            const taken = queue.take(at, next === 'take' ? undefined : ({ kind }) => kind === 'task')
            expect(taken?.deadline ?? at + 1).toBeGreaterThan(at)
            if (taken) leave(taken)
          } else if (next === 'expire') {
            for (const gone of queue.expire(at)) {
              expect(gone.deadline).toBeLessThanOrEqual(at)
              leave(gone)
            }
            for (const { deadline = at + 1 } of inside.keys()) expect(deadline).toBeGreaterThan(at)
          } else if (next === 'clear') queue.clear().forEach(leave)
          else if (next === 'drop frames') {
            queue.dropFrames().forEach(leave)
            for (const { kind } of inside.keys()) expect(kind).toBe('task')
          } else {
            const { deadline, ...rest } = next
            const one = { ...rest, arrivedAt: at, ...(deadline !== undefined && { deadline }) }
            const offered = queue.offer(one)
            if (offered.ok) {
              if (offered.replaced) leave(offered.replaced)
              offered.displaced.forEach(leave)
              inside.set(one, one.kind === 'frame' ? `${one.model}/${one.source}` : '')
            }
          }
          const streams = [...inside.values()].filter((stream) => stream !== '')
          expect(new Set(streams).size).toBe(streams.length)
          expect(queue.size()).toBe(inside.size)
          expect(queue.bytes()).toBe([...inside.keys()].reduce((sum, { bytes }) => sum + bytes, 0))
          for (const model of ['a', 'b']) {
            const own = [...inside.keys()].filter((one) => one.model === model)
            expect(own.length).toBeLessThanOrEqual(limits.framesPerModel)
            expect(own.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(limits.bytesPerModel)
          }
        })
        queue.clear().forEach(leave)
        expect(inside.size).toBe(0)
      }),
      { numRuns: 500 },
    )
  })

  test('a modest source is never locked out by what others hold', () => {
    const flood = fc.array(
      fc.record({ source: fc.constantFrom('a', 'b', 'c'), bytes: fc.integer({ min: 1, max: 25 }) }),
      {
        maxLength: 30,
      },
    )
    fc.assert(
      fc.property(flood, (items) => {
        const queue = open()
        for (const one of items) queue.offer(item({ ...one, deadline: 1_000 }))
        expect(queue.offer(item({ source: 'modest', bytes: 25, deadline: 2_000 })).ok).toBe(true)
      }),
    )
  })

  // The bound of choice.ts. What others do is up to chance: floods, streams, short deadlines, a new name for every task.
  const turn = fc.record({
    offers: fc.array(
      fc.record({
        kind: fc.constantFrom('task' as const, 'frame' as const),
        source: fc.integer({ min: 0, max: 6 }),
        isNew: fc.boolean(),
        deadlineMs: fc.option(fc.integer({ min: 1, max: 400 }), { nil: undefined }),
      }),
      { maxLength: 4 },
    ),
    costMs: fc.integer({ min: 1, max: 60 }),
  })

  test('nobody starves: a task that can be met has its turn before the stated work was done for others', () => {
    const longestMs = 60
    fc.assert(
      fc.property(
        fc.array(turn, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 0, max: 60 }),
        (turns, startAfter) => {
          const queue = open({ framesPerModel: 24, bytesPerModel: 1e9 })
          let now = 0
          let doneMs = 0
          let mostWaiting = 0
          let names = 0
          const waiting = new Map<Item, string>()
          const patient = item({ source: 'patient', deadline: 1e9 })
          for (let n = 0; ; n += 1) {
            const { offers, costMs } = turns[n % turns.length]!
            if (n === startAfter) expect(queue.offer(patient).ok).toBe(true)
            for (const { kind, source, isNew, deadlineMs } of offers) {
              names += isNew ? 1 : 0
              const one = item({
                kind,
                source: isNew ? `new-${names}` : `s${source}`,
                arrivedAt: now,
                ...(deadlineMs !== undefined && { deadline: now + deadlineMs }),
              })
              const offered = queue.offer(one)
              if (!offered.ok) continue
              if (offered.replaced) waiting.delete(offered.replaced)
              for (const gone of offered.displaced) {
                expect(gone).not.toBe(patient)
                waiting.delete(gone)
              }
              waiting.set(one, one.source)
            }
            for (const gone of queue.expire(now)) waiting.delete(gone)
            mostWaiting = Math.max(mostWaiting, new Set(waiting.values()).size + 1)
            const taken = queue.take(now)
            if (taken === patient) return
            if (taken) {
              waiting.delete(taken)
              queue.charge(taken.source, costMs - RUN_MS)
              now += costMs
              if (n >= startAfter) doneMs += costMs
            } else now += 5
            const leashMs = LEASH_MS + 2 * longestMs
            expect(doneMs).toBeLessThan((mostWaiting + 7) * 3 * (leashMs + longestMs))
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  test('of two who always want more, none gets more than the stated part beyond the other', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 900 })), { minLength: 5 }),
        (runs) => {
          const queue = open(roomy)
          const had: Record<string, number> = { a: 0, b: 0 }
          for (let n = 0; n < 400; n += 1) {
            const [costMs, deadline] = runs[n % runs.length]!
            for (const source of ['a', 'b', 'c'])
              queue.offer(item({ source, deadline: source === 'a' ? deadline + 1e6 : 1e9 - deadline }))
            const taken = queue.take(0)!
            queue.charge(taken.source, costMs - RUN_MS)
            had[taken.source] = (had[taken.source] ?? 0) + costMs
            expect(Math.abs((had['a'] ?? 0) - (had['b'] ?? 0))).toBeLessThan(2 * (LEASH_MS + 3 * 60))
          }
        },
      ),
      { numRuns: 50 },
    )
  })
})
