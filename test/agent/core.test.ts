// The working parts together over a real buffer, with a host that ends its runs when told: every frame is accounted for.
import fc from 'fast-check'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodeFrame } from '../../broker/protocol/envelope.ts'
import { createRig, DEVICE } from './buffer-rig.ts'
import { BAD, GOOD, JPEG, KILLED, readModels, startCore } from './core-rig.ts'

let rig: ReturnType<typeof createRig>
beforeEach(async () => {
  rig = createRig()
  await readModels()
})
afterEach(() => rig.remove())
const start = (more?: Parameters<typeof startCore>[1]) => startCore(rig, more)

const until = (deadline: number) => encodeFrame({ deadline, contentType: 'image/jpeg', data: JPEG })

describe('the core of an agent', () => {
  test('keeps three frames at the host and refuses beyond its queue, saying when to come again', async () => {
    const { receive, running, advance, errors } = start()
    for (let n = 0; n < 9; n += 1) receive(`t${n}`, JPEG)
    await advance(10)
    expect(running()).toBe(3)
    expect(errors()).toMatchObject([
      { code: 'busy', retryAfterMs: expect.any(Number) },
      { code: 'busy', retryAfterMs: expect.any(Number) },
    ])
  })

  test('logs a sender of bad messages once a day, and new ones also after a day with very many', async () => {
    const lines: string[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line).topic) })
    const { receive, advance } = start({ log })
    for (let n = 0; n < 300; n += 1)
      for (let times = 0; times < 3; times += 1) receive(undefined, JPEG, { model: `m${n}` })
    expect(lines).toHaveLength(256)
    await advance(86_400_000)
    receive(undefined, JPEG, { model: 'm299' })
    receive(undefined, JPEG, { model: 'm0' })
    expect(lines.slice(256).map((topic) => topic.split('/').at(-1))).toEqual(['m299', 'm0'])
  })

  test('does not run a task twice while it waits, runs, or is written to disk', async () => {
    const { receive, ran, end, advance, published, core } = start()
    receive('t1', JPEG)
    receive('t1', JPEG)
    end()
    await Promise.resolve()
    await Promise.resolve()
    receive('t1', JPEG)
    await advance(10)
    receive('t1', JPEG)
    await advance(10)
    expect(ran).toHaveLength(1)
    expect(published.map(({ message }) => message.id)).toEqual(['t1', 't1'])
    expect(core.tally.counts()).toMatchObject({ in: 4, answered: 1, dropped: 3, reasons: { duplicate: 3 } })
  })

  test('tries a task again that was only busy', async () => {
    const { receive, turn, advance, published, errors } = start()
    for (let n = 0; n < 8; n += 1) receive(`t${n}`, JPEG)
    await advance(10)
    expect(errors()).toHaveLength(1)
    for (let n = 0; n < 7; n += 1) await turn()
    receive('t7', JPEG)
    await advance(10)
    await turn()
    expect(published.at(-1)?.message).toMatchObject({ id: 't7', digest: GOOD.digest })
  })

  test('answers tasks that waited past their deadline without running them, also while a run hangs', async () => {
    const { receive, ran, advance, errors, clock } = start()
    for (let n = 0; n < 3; n += 1) receive(`t${n}`, JPEG)
    receive('late', until(clock.now() + 50))
    await advance(400)
    expect(ran).toHaveLength(3)
    expect(errors()).toMatchObject([{ code: 'expired' }])
  })

  test('runs a task that came too late once when it is given again with more time', async () => {
    const { receive, turn, advance, errors, clock, answersTo } = start()
    for (let n = 0; n < 3; n += 1) receive(`t${n}`, JPEG)
    receive('late', until(clock.now() + 50))
    await advance(400)
    expect(errors()).toMatchObject([{ code: 'expired' }])
    receive('late', until(clock.now() + 60_000))
    for (let n = 0; n < 6; n += 1) await turn()
    expect(answersTo('late').at(-1)).toMatchObject({ result: {} })
  })

  test.each([
    ['forwards by a day', 86_400_000],
    ['back by an hour', -3_600_000],
  ])('keeps to a deadline when the wall clock is set %s', async (_, jumpMs) => {
    const { receive, turn, advance, errors, clock, fake, answersTo } = start()
    // Once before, so that the time of day and the time since the start are two things.
    fake.set(jumpMs)
    for (let n = 0; n < 3; n += 1) receive(`t${n}`, JPEG)
    receive('in-time', until(clock.now() + 5_000))
    receive('late', until(clock.now() + 800))
    fake.set(jumpMs)
    await advance(1_000)
    expect(errors()).toMatchObject([{ code: 'expired' }])
    for (let n = 0; n < 4; n += 1) await turn()
    expect(answersTo('in-time')).toMatchObject([{ result: {} }])
  })

  test.each([
    ['that is right', 0, 'expired'],
    ['that is an hour ahead', 3_600_000, undefined],
    ['of which nothing is known yet', undefined, undefined],
  ])('answers a deadline that seems to be over by a clock %s', async (_, skewMs, code) => {
    const { receive, turn, clock, errors, answersTo } = start({ skewMs: () => skewMs })
    receive('t1', until(clock.now() - 1_000))
    await turn()
    expect(errors().map((error) => error.code)).toEqual(code === undefined ? [] : [code])
    expect(answersTo('t1')).toHaveLength(1)
  })

  test('drops a retained frame: it is old, and would come again at every connection', async () => {
    const { receive, ran, advance, core } = start()
    receive(undefined, JPEG, { retain: true })
    await advance(10)
    expect(ran).toHaveLength(0)
    expect(core.tally.counts().reasons).toEqual({ retained: 1 })
  })

  test('does not run a retained task, and says so, unless it has its answer', async () => {
    const { receive, ran, turn, advance, errors, answersTo } = start()
    receive('old', JPEG, { retain: true })
    receive('done', JPEG)
    await turn()
    receive('done', JPEG, { retain: true })
    await advance(10)
    expect(ran).toHaveLength(1)
    expect(errors()).toMatchObject([{ code: 'expired', message: expect.stringContaining('retain') }])
    expect(answersTo('done')).toMatchObject([{ result: {} }, { result: {} }])
  })

  test('takes nothing in once it stops, and answers what still waits', async () => {
    const { receive, advance, errors, core } = start()
    for (let n = 0; n < 5; n += 1) receive(`t${n}`, JPEG)
    core.intake.stop()
    receive('new', JPEG)
    core.work.giveUp()
    await advance(10)
    expect(errors().map(({ code }) => code)).toEqual(['busy', 'busy', 'busy'])
  })

  test('survives any topic and any bytes', () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 300 }), fc.boolean(), (level, bytes, retain) => {
        const { core, unaccounted } = start()
        const device = `bramble/1/d/${DEVICE}`
        for (const topic of [
          level,
          `${device}/in/mobilenet-v1/t`,
          `${device}/in/mobilenet-v1`,
          `${device}/ack`,
          `${device}/cmd/a/b`,
        ])
          core.intake.receive(topic, bytes, retain)
        expect(unaccounted()).toBe(0)
      }),
      { numRuns: 30 },
    )
  })

  const message = fc.record({
    kind: fc.constant('message' as const),
    task: fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined, freq: 2 }),
    payload: fc.constantFrom(
      ...(['jpeg', 'jpeg', 'jpeg', 'other', 'other', 'deadline', 'deadline', 'text', 'empty', 'large'] as const),
    ),
    source: fc.constantFrom(undefined, 'a', 'b', 'c'),
    model: fc.constantFrom(
      ...(['mobilenet-v1', 'mobilenet-v1', 'mobilenet-v1', 'ssd-mobilenet-v1', 'nonsense'] as const),
    ),
    retain: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  })
  const step = fc.oneof(
    { weight: 12, arbitrary: message },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('end' as const), outcome: fc.constantFrom(GOOD, GOOD, BAD, KILLED) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('slow' as const), ms: fc.constantFrom(0, 20, Infinity) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 15, 600) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('set clock' as const), ms: fc.constantFrom(86_400_000, -3_600_000) }),
    },
  )
  const payloads = (now: number) => ({
    jpeg: JPEG,
    other: Buffer.concat([JPEG, Buffer.from([1])]),
    text: Buffer.from('text'),
    empty: Buffer.alloc(0),
    large: Buffer.alloc(201),
    deadline: Buffer.from(until(now + 20)),
  })

  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
  const sent = (task: number | undefined, payload: 'jpeg' | 'other' | 'deadline' = 'jpeg'): Step => ({
    kind: 'message',
    task,
    payload,
    source: 'a',
    model: 'mobilenet-v1',
    retain: false,
  })
  const ended = (outcome: typeof GOOD | typeof BAD | typeof KILLED = GOOD): Step => ({ kind: 'end', outcome })
  const passed = (ms: 15 | 600): Step => ({ kind: 'wait', ms })
  const full = [0, 1, 2].map((task) => sent(task))
  /** One history for each way out of the agent; chance alone does not meet all of them in every run. */
  const WAYS_OUT: Readonly<Record<string, readonly Step[]>> = {
    busy: Array.from({ length: 9 }, (_, task) => sent(task)),
    'newer-frame': [...full, sent(undefined), sent(undefined)],
    expired: [...full, sent(3, 'deadline'), passed(600)],
    late: [...full, sent(undefined, 'deadline'), passed(600)],
    'too-hot': [{ kind: 'slow', ms: Number.POSITIVE_INFINITY }, sent(undefined)],
    duplicate: [sent(0), sent(0)],
    timeout: [sent(undefined), ended(KILLED)],
    poison: [sent(0), ended(KILLED), passed(15), ended(KILLED), passed(15)],
  }

  test('counts every frame out once, at every moment: in = answered + refused + dropped + waiting or running', async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), async (steps) => {
        const { core, clock, fake, receive, end, advance, slow, unaccounted, published } = start()
        let sent = 0
        for (const one of steps) {
          if (one.kind === 'end') end(one.outcome)
          else if (one.kind === 'wait') await advance(one.ms)
          else if (one.kind === 'slow') slow(one.ms)
          else if (one.kind === 'set clock') fake.set(one.ms)
          else {
            const task = one.task === undefined ? undefined : `t${one.task}`
            const meta = one.source === undefined ? {} : { source: one.source }
            receive(task, payloads(clock.now())[one.payload], { model: one.model, retain: one.retain, meta })
            sent += 1
          }
          expect(unaccounted()).toBe(0)
        }
        slow(0)
        while (core.work.load() > 0) {
          end()
          await advance(300)
          expect(unaccounted()).toBe(0)
        }
        const { in: arrived, answered, refused, dropped, reasons } = core.tally.counts()
        expect(arrived).toBe(sent)
        expect(answered + refused + dropped).toBe(arrived)
        expect(Object.values(reasons).reduce((a, b) => a + b, 0)).toBe(refused + dropped)
        for (const reason of Object.keys(reasons)) seen.add(reason)
        const again = reasons['duplicate'] ?? 0
        await advance(1_000)
        expect(published.length).toBeGreaterThanOrEqual(answered + refused)
        expect(published.length).toBeLessThanOrEqual(answered + refused + again)
        rig.remove()
        rig = createRig()
      }),
      { numRuns: 68, examples: Object.values(WAYS_OUT).map((steps) => [[...steps]]) },
    )
    for (const reason of Object.keys(WAYS_OUT)) expect(seen).toContain(reason)
  })
})
