// Kills the answering process at each of its steps, lets a second one go on, and compares what both together told the
// world with what was on disk when the first one died. test/faults/write-points.test.ts has every statement, test/slow every
// write to the disk.
import { expect, test } from 'vitest'
import { twoLives } from './crash-lives.ts'

test('a killed agent loses nothing it had written and repeats nothing differently, wherever it was killed', async () => {
  const { steps = 0, faults } = await twoLives(0)
  expect(faults).toEqual([])
  expect(steps).toBeGreaterThanOrEqual(12)
  let killed = 0
  // Two at a time: the machine has two cores.
  for (let at = 1; at <= steps; at += 2) {
    const fates = await Promise.all([twoLives(at), twoLives(at + 1)])
    for (const fate of fates) expect(fate.faults, `killed at step ${at}`).toEqual([])
    killed += fates.filter((fate) => fate.steps === undefined).length
  }
  expect(killed).toBeGreaterThan(steps / 2)
}, 120_000)
