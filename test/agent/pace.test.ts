import { expect, test } from 'vitest'
import { createPace } from '../../agent/frames/pace.ts'

function start() {
  let now = 0
  let depth = 1
  const pace = createPace(
    () => now,
    () => depth,
  )
  return {
    pace,
    /** The next run will be behind so many others. */
    behind: (others: number) => {
      depth = others + 1
    },
    later: (ms: number) => {
      now += ms
    },
    /** A run that took `ms` from handing it in, of which the model took `infer`. */
    ran(ms: number, infer: number, more: { model?: string; killed?: boolean } = {}): number {
      const { model = 'm', killed = false } = more
      now += ms
      return pace.ended(model, {
        startedAt: now - ms,
        depth,
        now,
        ms: killed ? undefined : { decode: 0, infer },
        killed,
      })
    },
  }
}

test('a run costs what the host says that it took, and one that never came back the time until it was given up', () => {
  const { ran } = start()
  expect(ran(30, 20)).toBe(20)
  expect(ran(10_000, 0, { killed: true })).toBe(10_000)
})

test('what is expected of a model follows its own runs, and no run that killed its process', () => {
  const { pace, ran } = start()
  expect(pace.cost('m')).toBe(100)
  for (let n = 0; n < 30; n += 1) {
    ran(30, 20)
    ran(90, 80, { model: 'slow' })
  }
  ran(10_000, 0, { killed: true })
  expect(pace.cost('m')).toBeCloseTo(20)
  expect(pace.cost('slow')).toBeCloseTo(80)
})

test('how long before a deadline a task must be begun is learned with its spread, and doubted when it is old', () => {
  const { pace, ran, later } = start()
  expect(pace.lead('m')).toBe(0)
  for (let n = 0; n < 100; n += 1) ran(n % 2 === 0 ? 20 : 40, 20)
  expect(pace.lead('m')).toBeGreaterThan(60)
  expect(pace.lead('m')).toBeLessThan(80)
  const before = pace.lead('m')
  later(10_000)
  expect(pace.lead('m')).toBeCloseTo(before / 2)
})

test('what is handed in behind others takes as much longer, however the runs before it were handed in', () => {
  const { pace, ran, behind } = start()
  for (let n = 0; n < 100; n += 1) {
    behind(n % 3)
    ran(20 * (1 + (n % 3)), 20)
  }
  behind(0)
  expect(pace.lead('m')).toBeCloseTo(20)
  behind(2)
  expect(pace.lead('m')).toBeCloseTo(60)
})

test('work ahead takes as long as such work took lately: less with several processes, more where runs wait for the cores', () => {
  const twice = start()
  const busy = start()
  for (let n = 0; n < 40; n += 1) {
    twice.ran(10, 20)
    busy.ran(30, 20)
  }
  expect(twice.pace.wallMs(1_000)).toBeCloseTo(500, -1)
  expect(busy.pace.wallMs(1_000)).toBeCloseTo(1_500, -1)
})
