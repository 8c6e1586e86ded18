// Death at every arrow and between every two statements and RPC calls, with a network that drops, delays and lies by
// omission: nobody is paid twice, nobody is left out, nothing hangs. The naive engine shows that the harness would notice.
import { describe, expect, it } from 'vitest'
import { type History, play, playOn } from './histories.ts'
import { createLab } from './lab.ts'
import { NAIVE_FAULTS, playNaively } from './naive.ts'
import { NO_FAULTS } from './payout-world.ts'
import { historyOf } from './seeds.ts'

/** Seconds on an idle machine; the limit is for a busy one. */
const PATIENCE_MS = 180_000

const CLEAN = { overpaid: 0, underpaid: 0, stuck: 0 }

async function expectClean(
  histories: Iterable<History>,
): Promise<{ crashes: number; restored: number; through: number }> {
  const total = { crashes: 0, restored: 0, through: 0 }
  for (const history of histories) {
    const { verdict, restored, through, lostTables, unsound } = await play(history)
    expect({ seed: history.seed, ...verdict, lostTables, unsound }).toMatchObject({
      ...CLEAN,
      seed: history.seed,
      lostTables: 0,
      unsound: [],
    })
    total.through += through
    total.crashes += verdict.crashes
    total.restored += restored
  }
  return total
}

const seeds = (count: number, first = 1): number[] => Array.from({ length: count }, (_, index) => first + index)

describe('a payout engine that is killed', () => {
  it(
    'at every single step of a settlement pays everybody once',
    async () => {
      const lab = await createLab()
      const token = await lab.makeToken()
      const played = (deaths: readonly number[]) =>
        playOn(lab, token, { seed: 1, amounts: [1_000_001n, 2_000_002n], faults: NO_FAULTS, deaths })
      const { steps, verdict } = await played([])
      expect(verdict).toEqual({ ...CLEAN, crashes: 0 })
      expect(steps).toBeGreaterThan(100)
      for (let step = 1; step <= steps; step++) {
        const { verdict, unsound } = await played([step])
        expect({ step, ...verdict, unsound }).toMatchObject({ step, ...CLEAN, crashes: 1, unsound: [] })
      }
      lab.close()
    },
    PATIENCE_MS,
  )

  it(
    'at every third step of a settlement through a lookup table pays everybody once',
    async () => {
      const lab = await createLab()
      const token = await lab.makeToken()
      const amounts = [1_000_001n, 2_000_002n, 3n, 4n, 5n, 6n]
      const played = (deaths: readonly number[]) =>
        playOn(lab, token, { seed: 1, amounts, faults: NO_FAULTS, deaths, tables: 'there' })
      const { steps, verdict, through } = await played([])
      expect({ ...verdict, through }).toEqual({ ...CLEAN, crashes: 0, through: 1 })
      for (let step = 1; step <= steps; step += 3) {
        const { verdict, through, unsound } = await played([step])
        const good = { step, ...CLEAN, crashes: 1, through: 1, unsound: [] }
        expect({ step, ...verdict, through, unsound }).toMatchObject(good)
      }
      lab.close()
    },
    PATIENCE_MS,
  )

  it(
    'again and again, in any weather, with a second console or an old database, pays everybody once',
    async () => {
      const { crashes, restored, through } = await expectClean(seeds(20).map(historyOf))
      // The harness must have bitten.
      expect(crashes).toBeGreaterThan(60)
      expect(restored).toBeGreaterThan(4)
      expect(through).toBeGreaterThan(2)
    },
    PATIENCE_MS,
  )

  it(
    'over a network that takes next to nothing pays everybody once',
    async () => {
      const faults = { ...NO_FAULTS, lost: 0.985 }
      await expectClean(seeds(4).map((seed) => ({ seed, amounts: [5n, 7n], faults, deaths: [20, 40, 60] })))
    },
    PATIENCE_MS,
  )
})

describe('the naive engine that signs again on a time-out', () => {
  it('pays twice under the same network, and the harness sees it', async () => {
    let overpaid = 0
    for (const seed of seeds(15)) overpaid += (await playNaively(seed, NAIVE_FAULTS)).overpaid
    expect(overpaid).toBeGreaterThan(5)
  })
})
