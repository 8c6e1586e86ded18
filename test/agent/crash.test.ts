// Kills the answering process at its steps, lets a second one go on, and compares what both together told the world with
// what was on disk when the first one died. test/faults/write-points.test.ts has every statement, test/slow every step and
// every write to the disk.
import { expect, test } from 'vitest'
import { twoLives } from './crash-lives.ts'

/** Steps come in pairs, before and after: an odd stride meets both. */
const STRIDE = process.env['BRAMBLE_SLOW_TESTS'] === undefined ? 3 : 1

test('a killed agent loses nothing it had written and repeats nothing differently, wherever it was killed', async () => {
  const { steps = 0, faults } = await twoLives(0)
  expect(faults).toEqual([])
  expect(steps).toBeGreaterThanOrEqual(12)
  const [tried, killed] = [new Set<number>(), new Set<number>()]
  const tryAt = async (at: number): Promise<void> => {
    const fate = await twoLives(at)
    expect(fate.faults, `killed at step ${at}`).toEqual([])
    tried.add(at)
    if (fate.steps === undefined) killed.add(at)
  }
  // Two at a time: the machine has two cores.
  for (let at = 1; at <= steps; at += 2 * STRIDE) await Promise.all([tryAt(at), tryAt(at + STRIDE)])
  expect(killed.size).toBeGreaterThan(tried.size / 2)
}, 120_000)
