// The working parts together over a real buffer, with a host that ends its runs when told: every frame is accounted for.
import fc from 'fast-check'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCore } from '../../agent/core.ts'
import { encodeFrame } from '../../broker/protocol/envelope.ts'
import { ResultMessage } from '../../broker/protocol/messages.ts'
import { formatTopic, parseTopic } from '../../broker/protocol/topics.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import { type Catalog, readCatalog } from '../../models/catalog.ts'
import type { RunOutcome } from '../../models/runtime/host.ts'
import { createRig, DEVICE, RUNTIME } from './buffer-rig.ts'
import { createFakeClock } from './fake-clock.ts'

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2, 3, 4])
const GOOD: RunOutcome = {
  ok: true,
  prediction: { kind: 'classification', labels: [] },
  digest: 'a'.repeat(64),
  ms: { decode: 1, infer: 2 },
}
const BAD: RunOutcome = { ok: false, error: { code: 'bad-frame', message: 'not a picture' } }

let rig: ReturnType<typeof createRig>
const catalogs: Catalog[] = []
beforeEach(async () => {
  rig = createRig()
  if (catalogs.length === 0) catalogs.push(await readCatalog(new URL('../../models', import.meta.url).pathname))
})
afterEach(() => rig.remove())

function start() {
  const { clock, advance } = createFakeClock()
  const buffer = rig.open()
  const published: { topic: string; message: ResultMessage }[] = []
  const runs: ((outcome: RunOutcome) => void)[] = []
  let ran = 0
  let ids = 0
  const find = (id: string): ModelPackage | undefined => catalogs[0]?.resolve(id)
  const core = createCore({
    device: DEVICE,
    root: 'bramble/1',
    receipts: true,
    limits: { framesPerModel: 4, bytesPerModel: 1_000, payloadBytes: 200 },
    buffer,
    host: {
      run: () => {
        ran += 1
        return new Promise((resolve) => runs.push(resolve))
      },
    },
    serving: { find, names: () => ['mobilenet-v1'], fault: () => undefined },
    origin: () => buffer.origin('boot', RUNTIME),
    publish: async (topic, payload) => {
      if (parseTopic(topic)?.kind === 'device-out')
        published.push({ topic, message: ResultMessage.parse(JSON.parse(payload)) })
    },
    clock,
    newId: () => {
      ids += 1
      return `made-${ids}`
    },
    log: pino({ level: 'silent' }),
  })
  core.outbox.connected()
  core.work.start()
  return {
    core,
    clock,
    advance,
    published,
    ran: () => ran,
    end: (outcome: RunOutcome = GOOD) => runs.shift()?.(outcome),
    receive: (task: string | undefined, payload: Uint8Array, more: { model?: string; retain?: boolean } = {}) => {
      const { model = 'mobilenet-v1', retain = false } = more
      core.intake.receive(
        formatTopic({ kind: 'device-in', device: DEVICE, model, ...(task !== undefined && { task }) }),
        payload,
        retain,
      )
    },
  }
}

const errors = (published: { message: ResultMessage }[]) =>
  published.flatMap(({ message }) => ('error' in message ? [message.error] : []))

describe('the core of an agent', () => {
  test('keeps three frames at the host and refuses beyond its queue, saying when to come again', async () => {
    const { receive, ran, advance, published } = start()
    for (let n = 0; n < 9; n += 1) receive(`t${n}`, JPEG)
    await advance(10)
    expect(ran()).toBe(3)
    expect(errors(published)).toMatchObject([
      { code: 'busy', retryAfterMs: expect.any(Number) },
      { code: 'busy', retryAfterMs: expect.any(Number) },
    ])
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
    expect(ran()).toBe(1)
    expect(published.map(({ message }) => message.id)).toEqual(['t1', 't1'])
    expect(core.tally.counts()).toMatchObject({ in: 4, answered: 1, dropped: 3, reasons: { duplicate: 3 } })
  })

  test('tries a task again that was only busy', async () => {
    const { receive, end, advance, published } = start()
    for (let n = 0; n < 8; n += 1) receive(`t${n}`, JPEG)
    await advance(10)
    expect(errors(published)).toHaveLength(1)
    for (let n = 0; n < 7; n += 1) {
      end()
      await advance(10)
    }
    receive('t7', JPEG)
    await advance(10)
    end()
    await advance(10)
    expect(published.at(-1)?.message).toMatchObject({ id: 't7', digest: GOOD.ok && GOOD.digest })
  })

  test('answers tasks that waited past their deadline without running them', async () => {
    const { receive, ran, end, advance, published, clock } = start()
    for (let n = 0; n < 3; n += 1) receive(`t${n}`, JPEG)
    receive('late', encodeFrame({ deadline: clock.now() + 50, contentType: 'image/jpeg', data: JPEG }))
    await advance(60)
    end()
    await advance(10)
    expect(ran()).toBe(3)
    expect(errors(published)).toMatchObject([{ code: 'expired' }])
  })

  test('drops a retained frame: it is old, and would come again at every connection', async () => {
    const { receive, ran, advance, core } = start()
    receive('t1', JPEG, { retain: true })
    await advance(10)
    expect(ran()).toBe(0)
    expect(core.tally.counts().reasons).toEqual({ retained: 1 })
  })

  test('takes nothing in once it stops, and answers what still waits', async () => {
    const { receive, advance, published, core } = start()
    for (let n = 0; n < 5; n += 1) receive(`t${n}`, JPEG)
    core.intake.stop()
    receive('new', JPEG)
    core.work.giveUp()
    await advance(10)
    expect(errors(published).map(({ code }) => code)).toEqual(['busy', 'busy', 'busy'])
  })

  test('survives any topic and any bytes', () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 300 }), fc.boolean(), (level, bytes, retain) => {
        const { core } = start()
        const device = `bramble/1/d/${DEVICE}`
        for (const topic of [
          level,
          `${device}/in/mobilenet-v1/t`,
          `${device}/in/mobilenet-v1`,
          `${device}/ack`,
          `${device}/cmd/a/b`,
        ])
          core.intake.receive(topic, bytes, retain)
        const { in: arrived, answered, refused, dropped } = core.tally.counts()
        expect(answered + refused + dropped + core.work.load()).toBe(arrived)
      }),
      { numRuns: 30 },
    )
  })

  test('counts every frame out once: in = answered + refused + dropped', async () => {
    const message = fc.record({
      kind: fc.constant('message' as const),
      task: fc.option(fc.integer({ min: 0, max: 12 }), { nil: undefined }),
      payload: fc.constantFrom('jpeg', 'text', 'empty', 'large', 'deadline'),
      model: fc.constantFrom('mobilenet-v1', 'ssd-mobilenet-v1', 'nonsense'),
      retain: fc.constantFrom(false, false, false, true),
    })
    const step = fc.oneof(
      { weight: 4, arbitrary: message },
      { weight: 2, arbitrary: fc.constant({ kind: 'end' as const, outcome: GOOD }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'end' as const, outcome: BAD }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'wait' as const }) },
    )
    const payloads = (now: number) => ({
      jpeg: JPEG,
      text: Buffer.from('text'),
      empty: Buffer.alloc(0),
      large: Buffer.alloc(201),
      deadline: Buffer.from(encodeFrame({ deadline: now + 20, contentType: 'image/jpeg', data: JPEG })),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { core, clock, receive, end, advance } = start()
        let sent = 0
        for (const one of steps) {
          if (one.kind === 'end') end(one.outcome)
          else if (one.kind === 'wait') await advance(15)
          else {
            const task = one.task === undefined ? undefined : `t${one.task}`
            receive(task, payloads(clock.now())[one.payload], { model: one.model, retain: one.retain })
            sent += 1
          }
        }
        while (core.work.load() > 0) {
          end()
          await advance(10)
        }
        const { in: arrived, answered, refused, dropped, reasons } = core.tally.counts()
        expect(arrived).toBe(sent)
        expect(answered + refused + dropped).toBe(arrived)
        expect(Object.values(reasons).reduce((a, b) => a + b, 0)).toBe(refused + dropped)
        rig.remove()
        rig = createRig()
      }),
      { numRuns: 40 },
    )
  })
})
