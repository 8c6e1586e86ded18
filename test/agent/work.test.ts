// What goes to the inference host when, over the real queue and buffer: heat, fresh frames, second tries, honest refusals.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodeFrame } from '../../broker/protocol/envelope.ts'
import { createRig } from './buffer-rig.ts'
import { BAD, GOOD, JPEG, KILLED, readModels, startCore } from './core-rig.ts'

let rig: ReturnType<typeof createRig>
beforeEach(async () => {
  rig = createRig()
  await readModels()
})
afterEach(() => rig.remove())
const start = (more?: Parameters<typeof startCore>[1]) => startCore(rig, more)
const ROOMY = { framesPerModel: 100, bytesPerModel: 1e6, payloadBytes: 200 }

const frame = (more: { id?: string; source?: string; deadline?: number } = {}) =>
  encodeFrame({ contentType: 'image/jpeg', data: JPEG, ...more })

test('a board that stops waits for its work, the waiting and the running, and for nothing without any', async () => {
  const { core, receive, turn, advance } = start()
  await core.work.idle()
  receive('t0', JPEG)
  receive('t1', JPEG)
  let isIdle = false
  void core.work.idle().then(() => {
    isIdle = true
  })
  await turn()
  expect(isIdle).toBe(false)
  await turn()
  await advance(10)
  expect(isIdle).toBe(true)
})

describe('a board that gets hot', () => {
  test('pauses between runs and takes one at a time', async () => {
    const { receive, slow, running, turn, advance } = start()
    slow(100)
    for (let n = 0; n < 3; n += 1) receive(`t${n}`, JPEG)
    expect(running()).toBe(1)
    await turn()
    expect(running()).toBe(0)
    await advance(80)
    expect(running()).toBe(0)
    await advance(20)
    expect(running()).toBe(1)
  })

  test('takes no work while it is too hot, drops live frames and keeps tasks until their deadline', async () => {
    const { receive, slow, running, advance, core, errors, clock } = start()
    slow(Number.POSITIVE_INFINITY)
    receive('patient', JPEG)
    receive('hurried', frame({ deadline: clock.now() + 400 }))
    receive(undefined, JPEG)
    await advance(1_000)
    expect(running()).toBe(0)
    expect(core.tally.counts()).toMatchObject({ dropped: 1, refused: 1, reasons: { 'too-hot': 1, expired: 1 } })
    expect(errors()).toMatchObject([{ code: 'expired' }])
    slow(0)
    await advance(300)
    expect(running()).toBe(1)
  })

  test('drops the live frames that wait when it becomes too hot', async () => {
    const { receive, slow, advance, core, turn } = start()
    for (let n = 0; n < 3; n += 1) receive(`t${n}`, JPEG)
    receive(undefined, JPEG)
    slow(Number.POSITIVE_INFINITY)
    await turn()
    await advance(300)
    expect(core.tally.counts().reasons).toEqual({ 'too-hot': 1 })
  })
})

describe('a model over which the process dies each time', () => {
  const odd = (n: number): Buffer => Buffer.concat([JPEG, Buffer.from(`${n}`)])

  test('rests after ten deaths in a row, each time for longer, and the others go on', async () => {
    const { receive, ran, end, advance, errors } = start()
    const [deaths, seconds] = [() => ran.filter((data) => data.length > JPEG.length).length, 6 * 3_600]
    for (let s = 0; s < seconds; s += 10) {
      receive(undefined, odd(s), { model: 'fashion' })
      await advance(10)
      end(KILLED)
      await advance(9_990)
    }
    expect(deaths(), 'in six hours').toBeLessThan(60)
    receive('task', odd(-1), { model: 'fashion' })
    receive(undefined, JPEG)
    await advance(10)
    expect(errors().at(-1)).toMatchObject({ code: 'model-failed', retryAfterMs: expect.any(Number) })
    expect(ran.at(-1)).toEqual(JPEG)
  })

  test('is run as ever after one run that ends', async () => {
    const { receive, running, turn, advance, errors } = start()
    const run = async (n: number, outcome: typeof KILLED | typeof GOOD): Promise<void> => {
      receive(undefined, odd(n))
      await advance(10)
      await turn(outcome)
    }
    for (let n = 0; n < 9; n += 1) await run(n, KILLED)
    await run(9, GOOD)
    for (let n = 10; n < 20; n += 1) await run(n, KILLED)
    receive(undefined, odd(20))
    expect(running()).toBe(0)
    expect(errors().at(-1)?.code).toBe('model-failed')
    await advance(10_000)
    await run(21, GOOD)
    for (let n = 22; n < 25; n += 1) await run(n, KILLED)
    receive(undefined, odd(25))
    expect(running()).toBe(1)
  })
})

describe('live frames', () => {
  test('go to the host just before it is free, and until then a newer one takes their place', async () => {
    const { receive, ran, turn, running, published, advance } = start()
    // Nothing was measured yet: a run is expected to take 100 ms; 3 ms pass on the way.
    for (const source of ['a', 'b', 'c']) receive(undefined, frame({ source, id: `${source}-old` }))
    expect(running()).toBe(1)
    await advance(96)
    expect(running()).toBe(1)
    receive(undefined, frame({ source: 'b', id: 'b-new' }))
    await advance(1)
    expect(running()).toBe(2)
    // The third waits until the second is nearly done, however long that takes.
    await advance(500)
    expect(running()).toBe(2)
    await turn()
    for (let n = 0; n < 2; n += 1) await turn()
    expect(ran).toHaveLength(3)
    expect(published.map(({ message }) => message.id)).toEqual(['a-old', 'b-new', 'c-old'])
  })

  test('of one source replace each other, of different sources they do not', async () => {
    const { receive, turn, core, published } = start()
    for (let n = 0; n < 3; n += 1) receive(`t${n}`, JPEG)
    receive(undefined, frame({ source: 'a', id: 'a-1' }))
    receive(undefined, frame({ source: 'a', id: 'a-2' }))
    receive(undefined, JPEG, { meta: { source: 'b' } })
    receive(undefined, JPEG)
    receive(undefined, JPEG)
    expect(core.tally.counts().reasons).toEqual({ 'newer-frame': 2 })
    for (let n = 0; n < 6; n += 1) await turn()
    const ids = published.map(({ message }) => message.id)
    expect(ids).toContain('a-2')
    expect(ids).not.toContain('a-1')
    expect(published).toHaveLength(6)
  })
})

describe('a source that floods', () => {
  test('neither takes the places of another nor makes it wait for its own tasks', async () => {
    const { receive, turn, errors, answersTo, advance } = start()
    for (let n = 0; n < 7; n += 1) receive(`flood-${n}`, frame({ source: 'flood' }))
    receive('other', frame({ source: 'other' }))
    await advance(10)
    expect(errors()).toMatchObject([{ code: 'busy' }])
    for (let n = 0; n < 7; n += 1) await turn()
    expect(answersTo('other')).toMatchObject([{ result: {} }])
  })

  test('is told when to come again: what is ahead of it at the pace of this board', async () => {
    const { receive, end, advance, errors } = start({ limits: ROOMY })
    // 40 ms of work each, one after the other.
    const slow = { ...GOOD, ms: { decode: 10, infer: 30 } }
    for (let n = 0; n < 103; n += 1) receive(`t${n}`, JPEG)
    for (let n = 0; n < 30; n += 1) {
      await advance(40)
      end(slow)
      await advance(0)
      receive(`more-${n}`, JPEG)
    }
    receive('one-too-many', JPEG)
    await advance(10)
    const [refused] = errors()
    expect(refused).toMatchObject({ code: 'busy' })
    expect(refused?.retryAfterMs).toBeGreaterThan(3_500)
    expect(refused?.retryAfterMs).toBeLessThan(4_800)
  })
})

test('a board that is slowed says so in when to come again', async () => {
  const { receive, slow, advance, errors } = start()
  slow(2_000)
  for (let n = 0; n < 6; n += 1) receive(`t${n}`, JPEG)
  slow(Number.POSITIVE_INFINITY)
  receive('t6', JPEG)
  await advance(10)
  expect(errors()).toMatchObject([{ retryAfterMs: expect.any(Number) }, { retryAfterMs: 60_000 }])
  expect(errors()[0]?.retryAfterMs).toBeGreaterThanOrEqual(8_000)
})

describe('an answer', () => {
  test('says how long the frame was on this board, in the queue, in decoding and in the model', async () => {
    const { receive, turn, advance, answersTo } = start()
    for (let n = 0; n < 4; n += 1) receive(`t${n}`, JPEG)
    await advance(50)
    for (let n = 0; n < 4; n += 1) await turn(GOOD, 20)
    // Handed in after 50 ms, answered after 110: also what it waited inside the host is waiting.
    expect(answersTo('t3')).toMatchObject([{ ms: { queue: 107, decode: 1, infer: 2 } }])
  })

  test('that comes after its deadline says by how much', async () => {
    const { receive, turn, advance, answersTo, clock } = start()
    receive('late', frame({ deadline: clock.now() + 100 }))
    receive('in-time', frame({ deadline: clock.now() + 1_000 }))
    await advance(150)
    await turn()
    await turn()
    expect(answersTo('late')).toMatchObject([{ result: {}, lateMs: 50 }])
    expect(answersTo('in-time')[0]).not.toHaveProperty('lateMs')
  })

  test('must reach its broker by the deadline: what cannot does not go first', async () => {
    const { receive, turn, advance, ran, clock } = start({ wayMs: 400, limits: ROOMY })
    const picture = (n: number) => Buffer.concat([JPEG, Buffer.from([n])])
    for (let n = 0; n < 20; n += 1) {
      receive(`t${n}`, picture(n))
      await advance(20)
      await turn(GOOD, 500)
    }
    for (const n of [20, 21, 22]) receive(`t${n}`, picture(n))
    const hurried = { contentType: 'image/jpeg', data: picture(30), deadline: clock.now() + 350 } as const
    receive('hurried', encodeFrame(hurried))
    receive('patient', picture(31))
    await turn()
    expect(ran.at(-1)?.at(-1)).toBe(31)
  })

  test('carries the energy of its run where it is known', async () => {
    const { receive, turn, answersTo } = start({
      energy: (cpuMs) => (cpuMs > 10 ? { j: cpuMs / 100, from: 'estimated' } : undefined),
    })
    for (const task of ['t0', 't1', 't2']) receive(task, JPEG)
    await turn({ ...GOOD, cpuMs: 20 })
    await turn({ ...GOOD, cpuMs: 5 })
    await turn(GOOD)
    expect(answersTo('t0')).toMatchObject([{ energy: { j: 0.2, from: 'estimated' } }])
    for (const task of ['t1', 't2']) expect(answersTo(task)[0]).not.toHaveProperty('energy')
  })
})

describe('what MQTT 5 says beside a message', () => {
  test('its expiry is a deadline, the earlier one counts', async () => {
    const { receive, advance, errors, clock } = start()
    receive('gone', JPEG, { meta: { expiresAt: clock.now() - 1 } })
    for (let n = 0; n < 3; n += 1) receive(`t${n}`, JPEG)
    receive('short', frame({ deadline: clock.now() + 60_000 }), { meta: { expiresAt: clock.now() + 100 } })
    await advance(500)
    expect(errors()).toMatchObject([{ code: 'expired' }, { code: 'expired' }])
  })

  test('its expiry is by this clock, the deadline of an envelope by the clock of the console', async () => {
    const skewMs = 86_400_000
    const { receive, advance, errors, answersTo, running, clock, end } = start({ skewMs: () => skewMs })
    const leased = (ms: number) => frame({ deadline: clock.now() - skewMs + ms })
    receive('leased', leased(30_000), { meta: { expiresAt: clock.now() + 60_000 } })
    receive('over', leased(-1))
    receive('gone', leased(30_000), { meta: { expiresAt: clock.now() - 1 } })
    expect(running()).toBe(1)
    end()
    await advance(10)
    expect(answersTo('leased')).toMatchObject([{ result: {} }])
    expect(errors()).toMatchObject([{ code: 'expired' }, { code: 'expired' }])
  })

  test('a deadline that seems to be over is not held against a frame while this clock may be wrong', async () => {
    const { receive, running, advance, errors, clock } = start({ skewMs: () => undefined })
    receive('leased', frame({ deadline: clock.now() - 86_400_000 }))
    expect(running()).toBe(1)
    receive('gone', frame({ deadline: clock.now() - 86_400_000 }), { meta: { expiresAt: clock.now() - 1 } })
    await advance(10)
    expect(errors()).toMatchObject([{ code: 'expired' }])
  })

  test('its content type says what bytes are that do not say it themselves', async () => {
    const { receive, advance, errors, running } = start()
    receive('raw', Buffer.from([1, 2, 3]), { meta: { contentType: 'application/octet-stream' } })
    receive('nothing', Buffer.from([1, 2, 3]), { meta: { contentType: 'text/plain' } })
    await advance(10)
    expect(running()).toBe(1)
    expect(errors()).toMatchObject([{ code: 'bad-frame' }])
  })
})

describe('an input that kills its process', () => {
  test('is tried once more, and nobody hears of it when that goes well', async () => {
    const { receive, turn, ran, answersTo, core } = start()
    receive('t1', JPEG)
    await turn(KILLED)
    expect(ran).toHaveLength(2)
    await turn(GOOD)
    expect(answersTo('t1')).toMatchObject([{ digest: GOOD.digest }])
    expect(core.suspects.count()).toBe(0)
    // Cleared: the next kill is the first again.
    receive('t2', JPEG)
    await turn(KILLED)
    await turn(GOOD)
    expect(answersTo('t2')).toMatchObject([{ digest: GOOD.digest }])
  })

  test('is refused as poison after the second kill, and from then on without being run', async () => {
    const { receive, turn, ran, answersTo, core, advance } = start()
    receive('t1', JPEG)
    await turn(KILLED)
    await turn(KILLED)
    expect(answersTo('t1')).toMatchObject([
      { error: { code: 'poison', message: expect.stringContaining('over 10 s') } },
    ])
    receive('t2', JPEG)
    receive(undefined, JPEG)
    receive('t3', JPEG, { model: 'ssd-mobilenet-v1' })
    receive('t4', Buffer.concat([JPEG, Buffer.from([9])]))
    await advance(10)
    expect(answersTo('t2')).toMatchObject([{ error: { code: 'poison' } }])
    expect(ran).toHaveLength(4)
    expect(core.suspects.count()).toBe(1)
    expect(core.tally.counts().reasons).toEqual({ poison: 3 })
  })

  test('is refused after a restart too', async () => {
    const first = start()
    first.receive('t1', JPEG)
    await first.turn(KILLED)
    await first.turn(KILLED)
    const { receive, ran, advance, answersTo, core } = start()
    receive('t2', JPEG)
    await advance(10)
    expect(ran).toHaveLength(0)
    expect(answersTo('t2')).toMatchObject([{ error: { code: 'poison' } }])
    expect(core.suspects.count()).toBe(1)
  })

  test('is refused also where it waits already when it is found out', async () => {
    const { receive, turn, ran, core, slow, advance } = start()
    slow(1)
    receive('t1', JPEG)
    receive('same', JPEG)
    await turn(KILLED)
    await turn(KILLED)
    await advance(10)
    expect(ran).toHaveLength(2)
    expect(core.tally.counts()).toMatchObject({ refused: 2, reasons: { poison: 2 } })
  })

  test('is not tried again as a live frame: its sender is told, and the strike counts', async () => {
    const { receive, turn, ran, errors } = start()
    receive(undefined, JPEG)
    await turn(KILLED)
    expect(ran).toHaveLength(1)
    expect(errors()).toMatchObject([{ code: 'timeout' }])
    receive(undefined, JPEG)
    await turn(KILLED)
    expect(errors()).toMatchObject([{ code: 'timeout' }, { code: 'poison' }])
  })

  test('is run with nothing beside it the second time, and so is a live frame that comes again', async () => {
    const { receive, turn, end, ran, running, advance, core } = start({ limits: ROOMY })
    const picture = (n: number) => Buffer.concat([JPEG, Buffer.from([n])])
    for (let n = 0; n < 6; n += 1) receive(`t${n}`, picture(n))
    expect(running()).toBe(3)
    end(KILLED)
    await advance(0)
    expect(running(), 'the two that are under way').toBe(2)
    await turn()
    await turn()
    expect([running(), ran.at(-1)?.at(-1)]).toEqual([1, 0])
    receive(undefined, frame())
    await advance(200)
    expect(running()).toBe(1)
    await turn()
    expect(running()).toBe(3)
    for (let n = 0; n < 4; n += 1) await turn()
    expect(core.tally.counts()).toMatchObject({ answered: 7, refused: 0, dropped: 0 })
    receive(undefined, frame())
    await turn(KILLED)
    receive(undefined, frame())
    receive('t9', picture(9))
    expect(running()).toBe(1)
    await turn()
    expect(running()).toBe(1)
    await turn()
    expect(core.suspects.count()).toBe(0)
  })

  test('that only died by chance now and then is never refused, however often it comes', async () => {
    const { receive, turn, core } = start()
    for (let n = 0; n < 3; n += 1) {
      receive(undefined, JPEG)
      await turn(KILLED)
      receive(undefined, JPEG)
      await turn(GOOD)
    }
    expect(core.suspects.count()).toBe(0)
  })

  test('is not tried again after its deadline, nor once the board goes away', async () => {
    const { receive, turn, ran, errors, clock, core, advance } = start()
    receive('late', frame({ deadline: clock.now() + 100 }))
    await advance(200)
    await turn(KILLED)
    receive('leaving', Buffer.concat([JPEG, Buffer.from([1])]))
    core.work.giveUp()
    await turn(KILLED)
    expect(ran).toHaveLength(2)
    expect(errors()).toMatchObject([{ code: 'timeout' }, { code: 'timeout' }])
  })

  test('is told apart from a run that ended badly by itself, or of which nobody is guilty', async () => {
    const { receive, turn, ran, errors, core } = start()
    const notStarting = { ok: false, error: { code: 'crashed', message: 'does not start' } } as const
    for (const [n, outcome] of [BAD, BAD, notStarting, notStarting, notStarting].entries()) {
      receive(`t${n}`, JPEG)
      await turn(outcome)
    }
    expect(ran).toHaveLength(5)
    expect(errors().map(({ code }) => code)).toEqual(['bad-frame', 'bad-frame', 'crashed', 'crashed', 'crashed'])
    expect(core.suspects.count()).toBe(0)
  })

  test('is remembered as a hash with its reason, never as the frame', async () => {
    const { receive, turn, buffer } = start()
    receive('t1', JPEG)
    await turn(KILLED)
    expect(buffer.poison.all()).toMatchObject([{ strikes: 1, reason: 'over 10 s' }])
    await turn(KILLED)
    expect(buffer.poison.all()).toMatchObject([{ strikes: 2, input: expect.stringMatching(/^[0-9a-f]{64}$/) }])
  })

  test('pays for the time it took, so that its sender waits and nobody else', async () => {
    const { receive, end, advance, ran } = start({ limits: ROOMY })
    receive(
      'hang',
      encodeFrame({ source: 'bad', contentType: 'image/jpeg', data: Buffer.concat([JPEG, Buffer.from([0])]) }),
    )
    for (let n = 0; n < 30; n += 1)
      for (const [mark, source] of [
        [1, 'bad'],
        [2, 'good'],
      ] as const)
        receive(
          `${source}-${n}`,
          encodeFrame({ source, contentType: 'image/jpeg', data: Buffer.concat([JPEG, Buffer.from([mark])]) }),
        )
    await advance(10_000)
    end(KILLED)
    await advance(0)
    for (let n = 0; n < 24; n += 1) {
      await advance(10)
      end()
      await advance(0)
    }
    const marks = ran.slice(3, 24).map((data) => data.at(-1))
    expect(marks.filter((mark) => mark === 2).length).toBeGreaterThan(18)
  })
})
