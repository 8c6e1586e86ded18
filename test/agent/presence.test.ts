import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { flagsNow } from '../../agent/presence/flags.ts'
import { createReadings, createVitals } from '../../agent/presence/readings.ts'
import { openSenses } from '../../agent/presence/senses.ts'
import { createPresence } from '../../agent/presence.ts'
import { HeartbeatMessage, type InfoMessage, VitalsMessage } from '../../broker/protocol/messages.ts'
import { boardTree, makeTree, removeTrees, writeTree } from './boards.ts'
import { createFakeClock } from './fake-clock.ts'

const silent = pino({ level: 'silent' })
const COUNTERS = { restarts: 3, crashes: 1, timeouts: 1, recycled: 1, unloads: 0, waitedForLoad: 0 }
const noSuspects = { count: () => 2 }

function openWorld(name: Parameters<typeof boardTree>[0]) {
  const { clock, advance } = createFakeClock()
  let answered = 0
  const work = { refused: 0, waiting: 0 }
  let skewMs: number | undefined
  const opened = openSenses({
    folder: import.meta.dirname,
    clock,
    skewMs: () => skewMs,
    changed: () => {},
    log: silent,
    tree: boardTree(name),
  })
  const host = { stats: () => ({ ...COUNTERS, processes: [], ready: true, rssMiB: 40 }) }
  return {
    clock,
    advance,
    answer: (count: number) => {
      answered += count
    },
    work,
    skew: (ms: number) => {
      skewMs = ms
    },
    opened,
    async messages() {
      const senses = await opened
      return {
        senses,
        heartbeat: createReadings({
          tally: {
            counts: () => ({
              in: answered + work.refused + work.waiting,
              answered,
              refused: work.refused,
              dropped: 0,
              reasons: {},
            }),
          },
          work: { load: () => work.waiting, ended: () => answered },
          commits: { pending: () => 0, failing: () => false },
          buffer: { owed: () => 0, full: () => false },
          serving: { names: () => ['a'], fault: () => undefined, served: () => [] },
          host,
          senses,
          ready: () => true,
          clock,
          rssBytes: () => 60 * 1024 * 1024,
        }),
        vitals: createVitals({ senses, host, suspects: noSuspects, now: clock.now }),
      }
    },
  }
}

describe('what a board says of itself', () => {
  test('in its vitals is all that its tree shows, and nothing it does not', async () => {
    const world = openWorld('pi-3b')
    world.skew(-1_500)
    const { senses, vitals } = await world.messages()
    const said = await vitals()
    expect(VitalsMessage.parse(said)).toEqual(said)
    expect(said).toMatchObject({
      boardUpS: 86_400,
      temperatures: [{ zone: 'cpu-thermal', c: 61.2 }],
      power: { now: ['under-voltage', 'throttled'], sinceBoot: ['under-voltage', 'throttled'] },
      memory: { totalMiB: 922, freeMiB: 500, swapUsedMiB: 12 },
      network: [
        { name: 'eth0', up: true, mbit: 100 },
        { name: 'wlan0', up: false },
      ],
      load1: 1.2,
      clockSkewMs: -1_500,
      host: { ...COUNTERS, poisoned: 2 },
    })
    expect(said).not.toHaveProperty('rails')
    senses.close()
  })

  test('in its heartbeat are the flags of now and the price of its work', async () => {
    const world = openWorld('pi-3b')
    const { senses, heartbeat } = await world.messages()
    world.answer(30)
    for (let i = 0; i < 30; i += 1) senses.energy.of(200)
    await world.advance(10_000)
    const beat = await heartbeat()
    expect(HeartbeatMessage.parse(beat)).toEqual(beat)
    expect(beat).toMatchObject({
      rate: 3,
      tempC: 61.2,
      memMiB: 100,
      flags: ['under-voltage', 'throttled'],
      // 0.58 W a core, 0.2 s.
      energy: { j: 0.116, from: 'estimated' },
    })
    expect(beat).not.toHaveProperty('idle')
    senses.close()
  })

  test('keeps its rate when two heartbeats follow each other at once', async () => {
    const world = openWorld('pi-4b')
    const { senses, heartbeat } = await world.messages()
    world.answer(60)
    await world.advance(30_000)
    await heartbeat()
    world.answer(1)
    await world.advance(1_000)
    expect((await heartbeat()).rate).toBe(1)
    await world.advance(9_000)
    expect((await heartbeat()).rate).toBe(0.1)
    senses.close()
  })

  test('is idle for want of work, or though there is some: since the heartbeat before, not since it started', async () => {
    const world = openWorld('pi-4b')
    const { senses, heartbeat } = await world.messages()
    const idle = async () => {
      await world.advance(30_000)
      return (await heartbeat()).idle
    }
    expect(await idle()).toBe('no-work')
    world.work.refused = 500
    expect(await idle()).toBe('all-refused')
    expect(await idle()).toBe('no-work')
    world.answer(1)
    expect(await idle()).toBeUndefined()
    world.work.waiting = 4
    expect(await idle()).toBe('stuck')
    senses.close()
  })

  test('does not forget under-voltage that the driver cleared', async () => {
    const at = 'sys/class/hwmon/hwmon0'
    const tree = await makeTree({ [`${at}/name`]: 'rpi_volt', [`${at}/in0_lcrit_alarm`]: '1' })
    const { clock } = createFakeClock()
    const folder = import.meta.dirname
    const senses = await openSenses({ folder, clock, skewMs: () => 0, changed: () => {}, log: silent, tree })
    expect((await senses.look()).flags).toEqual(['under-voltage'])
    await writeTree(tree.root, { [`${at}/in0_lcrit_alarm`]: '0' })
    expect((await senses.look()).flags).toEqual([])
    expect((await senses.examine()).power).toEqual({ now: [], sinceBoot: ['under-voltage'] })
    senses.close()
    await removeTrees()
  })
})

describe('flags', () => {
  const well = { heat: 'normal', disk: { totalMiB: 1000, freeMiB: 500, readOnly: false }, clockSkewMs: 20_000 } as const

  test('are none on a healthy board, nor on one that knows nothing', () => {
    expect(flagsNow(well)).toEqual([])
    expect(flagsNow({ heat: 'normal' })).toEqual([])
  })

  test.each([
    [{ heat: 'slowed' as const }, 'slowed'],
    [{ heat: 'paused' as const }, 'slowed'],
    [{ disk: { ...well.disk, readOnly: true } }, 'disk-read-only'],
    [{ disk: { ...well.disk, freeMiB: 63 } }, 'disk-full'],
    [{ clockSkewMs: -86_400_000 }, 'clock-wrong'],
    [{ throttling: { now: ['throttled' as const], sinceBoot: [] } }, 'throttled'],
  ])('name what is wrong: %j', (more, flag) => {
    expect(flagsNow({ ...well, ...more })).toEqual([flag])
  })
})

describe('presence', () => {
  const BEAT = { at: '2026-11-22T00:00:00.000Z' } as HeartbeatMessage
  const VITALS = { temperatures: [] } as unknown as VitalsMessage

  function open() {
    const said: { topic: string; retain: boolean | undefined; qos: 0 | 1 }[] = []
    const { clock, advance } = createFakeClock()
    const presence = createPresence({
      device: 'dev-a',
      root: 'bramble/1',
      publish: (topic, _, { qos, retain }) => Promise.resolve(void said.push({ topic, retain, qos })),
      heartbeat: () => Promise.resolve(BEAT),
      vitals: () => Promise.resolve(VITALS),
      clock,
      log: silent,
    })
    const count = (kind: string) => said.filter(({ topic }) => topic === `bramble/1/d/dev-a/${kind}`).length
    return { presence, said, count, advance }
  }

  test('says status, heartbeat and vitals at each connection; only what stays true is retained', async () => {
    const { presence, said } = open()
    await presence.connected()
    expect(said).toContainEqual({ topic: 'bramble/1/d/dev-a/status', qos: 1, retain: true })
    expect(said).toContainEqual({ topic: 'bramble/1/d/dev-a/hb', qos: 0, retain: undefined })
    expect(said).toContainEqual({ topic: 'bramble/1/d/dev-a/vitals', qos: 1, retain: undefined })
    presence.close()
  })

  test('beats again soon and then every half minute, and tells vitals soon and then every five minutes', async () => {
    const { presence, count, advance } = open()
    await presence.connected()
    await advance(10_000)
    expect([count('hb'), count('vitals')]).toEqual([2, 1])
    await advance(20_000)
    expect([count('hb'), count('vitals')]).toEqual([2, 2])
    await advance(300_000)
    expect([count('hb'), count('vitals')]).toEqual([12, 3])
    await presence.ready({} as InfoMessage)
    expect([count('info'), count('hb')]).toEqual([1, 13])
    presence.close()
    await advance(600_000)
    expect([count('hb'), count('vitals')]).toEqual([13, 3])
  })

  test('beats at once when something changed, and the next one half a minute later', async () => {
    const { presence, count, advance } = open()
    await presence.connected()
    await advance(5_000)
    await presence.beat()
    await advance(29_000)
    expect(count('hb')).toBe(2)
    await advance(1_000)
    expect(count('hb')).toBe(3)
    presence.close()
  })
})
