import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createCeiling } from '../../models/runtime/ceiling.ts'

const HOUR_MS = 3_600_000

function rig(mib: number, mostMiB = 4_000) {
  const clock = { ms: 0 }
  const ceiling = createCeiling({ mib, mostMiB, elapsed: () => clock.ms })
  ceiling.started()
  return { ceiling, clock, ran: (count: number, rss: number) => Array.from({ length: count }, () => ceiling.ran(rss)) }
}

test('a process that grew over the ceiling is replaced, once', () => {
  const { ceiling, clock, ran } = rig(300)
  expect(ceiling.loaded(150)).toBe('fine')
  ran(1_000, 200)
  clock.ms += HOUR_MS
  expect(ceiling.ran(301)).toBe('over')
  expect(ceiling.ran(302)).toBe('fine')
  ceiling.started()
  expect(ceiling.ran(200)).toBe('fine')
})

test('a ceiling below what the models need is raised when they are loaded, and said once', () => {
  const { ceiling, ran } = rig(100)
  expect(ceiling.loaded(180)).toBe('raised')
  expect(ceiling.mib()).toBe(270)
  expect(new Set(ran(1_000, 200))).toEqual(new Set(['fine']))
})

test('what the first runs take is what the models need', () => {
  const { ceiling } = rig(300)
  expect(ceiling.loaded(290)).toBe('fine')
  expect(ceiling.ran(310)).toBe('raised')
  expect(ceiling.mib()).toBe(465)
})

test('a fast leak is cut off long before it takes the board', () => {
  const { ceiling, clock } = rig(256, 400)
  let most = 0
  let rss = 100
  for (let run = 0; run < 10_000; run += 1) {
    clock.ms += 100
    rss += 5
    most = Math.max(most, rss)
    if (ceiling.ran(rss) !== 'over') continue
    ceiling.started()
    rss = 100
  }
  expect(most).toBeLessThanOrEqual(410)
})

test('a process that is over soon after each start has a ceiling that is too low', () => {
  const { ceiling, clock, ran } = rig(256)
  const verdicts: string[] = []
  for (let life = 0; life < 10; life += 1) {
    ceiling.started()
    ran(10, 200)
    clock.ms += 60_000
    verdicts.push(ceiling.ran(300))
  }
  expect(verdicts).toEqual(['over', 'over', 'raised', ...new Array(7).fill('fine')])
})

test('models that need more than may ever be given are not stopped by a ceiling', () => {
  const { ceiling, ran } = rig(256, 400)
  expect(ceiling.loaded(500)).toBe('off')
  expect(new Set(ran(100, 5_000))).toEqual(new Set(['fine']))
})

test('a steady process is replaced twice at most, whatever it needs and however short it lives', () => {
  const mib = fc.integer({ min: 1, max: 4_000 })
  fc.assert(
    fc.property(mib, mib, mib, fc.integer({ min: 1, max: 500_000 }), (ceilingMiB, mostMiB, needs, lifeMs) => {
      const { ceiling, clock, ran } = rig(ceilingMiB, Math.max(mostMiB, 1.5 * needs))
      let replaced = 0
      for (let turn = 0; turn < 20; turn += 1) {
        ran(10, Math.min(needs, ceilingMiB))
        clock.ms += lifeMs
        if (ceiling.ran(needs) !== 'over') continue
        replaced += 1
        ceiling.started()
      }
      expect(replaced).toBeLessThanOrEqual(2)
    }),
  )
})
