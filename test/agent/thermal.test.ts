import fc from 'fast-check'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { COOL, createThermal, type Heat, limitsOf, plan, stateOf } from '../../agent/presence/thermal.ts'
import { readLimits } from '../../agent/presence/thermometer.ts'
import { boardTree } from './boards.ts'
import { createFakeClock } from './fake-clock.ts'

const PI = limitsOf([{ type: 'critical', c: 110 }], { model: 'Raspberry Pi 4 Model B Rev 1.4', arch: 'arm64' })
const silent = pino({ level: 'silent' })

describe('where a board slows', () => {
  test.each([
    ['pi-4b', 'arm64', { slowAtC: 75, throttleAtC: 80, pauseAtC: 90 }],
    ['zero-2w', 'arm64', { slowAtC: 75, throttleAtC: 80, pauseAtC: 85 }],
    // Its fan's trip points say nothing about throttling.
    ['pi-5', 'arm64', { slowAtC: 75, throttleAtC: 80, pauseAtC: 90 }],
    ['orin-nano', 'arm64', { slowAtC: 94, throttleAtC: 99, pauseAtC: 99.5 }],
    ['pc-rapl', 'x64', { slowAtC: 90, throttleAtC: 95, pauseAtC: 105 }],
  ] as const)('%s', async (name, arch, expected) => {
    const tree = boardTree(name)
    const model = (await tree.text('proc/device-tree/model')) ?? ''
    expect(await readLimits(tree, { model, arch })).toEqual(expected)
  })
})

describe('the plan', () => {
  const heatAfter = (readings: readonly (readonly [seconds: number, c: number | undefined])[]): Heat =>
    readings.reduce((heat, [seconds, c]) => plan({ c, at: seconds * 1000 }, PI, heat), COOL)

  test('leaves a cool board alone, and one without a sensor', () => {
    expect(stateOf(heatAfter([[0, 74.9]]))).toBe('normal')
    expect(stateOf(heatAfter([[0, undefined]]))).toBe('normal')
  })

  test('slows from the limit on, and fully where the board would throttle', () => {
    expect(heatAfter([[0, 75]]).level).toBe(1)
    expect(heatAfter([[0, 80]]).level).toBe(5)
  })

  test('slows more while it gets hotter, not while it cools', () => {
    expect(
      heatAfter([
        [0, 75],
        [16, 75.5],
        [32, 75.6],
      ]).level,
    ).toBe(3)
    expect(
      heatAfter([
        [0, 75.9],
        [16, 75.5],
        [32, 75.1],
      ]).level,
    ).toBe(1)
  })

  test('goes faster again a step a minute, only once it is well below', () => {
    const hot = heatAfter([[0, 80]])
    expect(plan({ c: 71, at: 600_000 }, PI, hot).level).toBe(5)
    const cooler = plan({ c: 69, at: 600_000 }, PI, hot)
    expect(cooler.level).toBe(4)
    expect(plan({ c: 69, at: 650_000 }, PI, cooler).level).toBe(4)
    expect(plan({ c: 69, at: 661_000 }, PI, cooler).level).toBe(3)
  })

  test('pauses near what is dangerous, until it is well below the limit', () => {
    expect(stateOf(heatAfter([[0, 90]]))).toBe('paused')
    expect(
      stateOf(
        heatAfter([
          [0, 90],
          [60, 76],
        ]),
      ),
    ).toBe('paused')
    expect(
      stateOf(
        heatAfter([
          [0, 90],
          [60, 69],
        ]),
      ),
    ).toBe('slowed')
  })

  test('lets go of a pause when the sensor is gone', () => {
    expect(
      stateOf(
        heatAfter([
          [0, 90],
          [3, undefined],
        ]),
      ),
    ).toBe('normal')
  })
})

/** A chip on a heat sink: it warms towards what its power would hold it at, with the time constant of the sink. */
function simulate(board: { ambientC: number; fullC: number; tauS: number; noiseC: number }, hours: number) {
  const pauses = [0, 0.25, 0.5, 1, 2, 4]
  let heat = COOL
  let c = board.ambientC
  const changes: number[] = []
  let highest = c
  let worked = 0
  const steps = (hours * 3600) / 3
  for (let step = 0; step < steps; step += 1) {
    const duty = heat.paused ? 0 : 1 / (1 + (pauses[heat.level] ?? 0))
    const target = board.ambientC + (board.fullC - board.ambientC) * duty
    c += (target - c) * (1 - Math.exp(-3 / board.tauS))
    // A sensor's last digit dances.
    const read = c + board.noiseC * (step % 2 === 0 ? 1 : -1)
    const before = stateOf(heat)
    heat = plan({ c: read, at: step * 3000 }, PI, heat)
    if (stateOf(heat) !== before) changes.push(step * 3)
    highest = Math.max(highest, c)
    worked += duty / steps
  }
  return { changes, highest, worked }
}

describe('a heat curve', () => {
  const board = fc.record({
    ambientC: fc.double({ min: 10, max: 45, noNaN: true }),
    fullC: fc.double({ min: 50, max: 130, noNaN: true }),
    tauS: fc.double({ min: 20, max: 600, noNaN: true }),
    noiseC: fc.double({ min: 0, max: 1, noNaN: true }),
  })

  test('never flaps: five minutes at least between two changes of the same kind, and never a pause', () => {
    fc.assert(
      fc.property(board, (one) => {
        const { changes, highest } = simulate(one, 2)
        for (let i = 2; i < changes.length; i += 1)
          expect((changes[i] ?? 0) - (changes[i - 2] ?? 0)).toBeGreaterThanOrEqual(300)
        expect(highest).toBeLessThan(PI.pauseAtC)
      }),
      { numRuns: 100 },
    )
  })

  test('of a board that would run into throttling stays below it, and goes on working', () => {
    const { highest, worked } = simulate({ ambientC: 35, fullC: 95, tauS: 120, noiseC: 0.3 }, 2)
    expect(highest).toBeLessThan(80)
    expect(worked).toBeGreaterThan(0.4)
  })

  test('of a well cooled board costs nothing', () => {
    expect(simulate({ ambientC: 25, fullC: 70, tauS: 120, noiseC: 0.3 }, 2)).toMatchObject({
      changes: [],
      worked: expect.closeTo(1, 9),
    })
  })
})

describe('the thermal policy', () => {
  test('pauses in proportion to a run, tells each change once, and stops looking when closed', async () => {
    const { clock, advance } = createFakeClock()
    let c: number | undefined = 50
    let looks = 0
    const told: string[] = []
    const read = () => {
      looks += 1
      return Promise.resolve(c)
    }
    const changed = (state: string): void => void told.push(state)
    const thermal = createThermal({ limits: PI, read, runMs: () => 200, clock, changed, log: silent })
    await advance(3_000)
    expect([thermal.slow(), thermal.state()]).toEqual([0, 'normal'])
    c = 75
    await advance(3_000)
    expect([thermal.slow(), thermal.state()]).toEqual([50, 'slowed'])
    await advance(9_000)
    c = 91
    await advance(3_000)
    expect([thermal.slow(), thermal.state()]).toEqual([Number.POSITIVE_INFINITY, 'paused'])
    c = 50
    await advance(900_000)
    expect(thermal.slow()).toBe(0)
    expect(told).toEqual(['slowed', 'paused', 'slowed', 'normal'])
    thermal.close()
    const before = looks
    await advance(60_000)
    expect(looks).toBe(before)
  })

  test('says nothing more when it is closed while it reads', async () => {
    const { clock, advance } = createFakeClock()
    const reading = Promise.withResolvers<number>()
    const told: string[] = []
    let looks = 0
    const read = () => {
      looks += 1
      return reading.promise
    }
    const changed = (state: string): void => void told.push(state)
    const thermal = createThermal({ limits: PI, read, runMs: () => 0, clock, changed, log: silent })
    thermal.close()
    reading.resolve(95)
    await advance(60_000)
    expect([told, looks]).toEqual([[], 1])
  })
})
