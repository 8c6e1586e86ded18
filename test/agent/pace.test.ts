import { expect, test } from 'vitest'
import { createPace } from '../../agent/frames/pace.ts'

function start() {
  let now = 0
  const pace = createPace(() => now)
  return {
    pace,
    later: (ms: number) => {
      now += ms
    },
    /** A run that took `ms` from handing it in, of which the model took `infer`. */
    ran(ms: number, infer: number, more: { model?: string; killed?: boolean } = {}): number {
      const { model = 'm', killed = false } = more
      const deep = pace.began()
      now += ms
      return pace.ended(model, {
        startedAt: now - ms,
        deep,
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
  const { pace, ran } = start()
  for (let n = 0; n < 100; n += 1) ran(20, 20)
  expect(pace.lead('m')).toBeCloseTo(20)
  expect([pace.began(), pace.began()]).toEqual([1, 2])
  expect(pace.lead('m')).toBeCloseTo(60)
  const twice = createPace(
    () => 0,
    () => 2,
  )
  expect([1, 2, 3, 4, 5].map(twice.began)).toEqual([1, 1, 2, 2, 3])
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
