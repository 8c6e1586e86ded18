// Death at every arrow and between every two statements and RPC calls, with a network that drops, delays and lies by
// omission: nobody is paid twice, nobody is left out, nothing hangs. The naive engine shows that the harness would notice.
// `npm test` takes some of the steps, at least one of each kind; test/slow takes all of them.
import { describe, expect, it } from 'vitest'
import { NO_FAULTS } from './faulty-network.ts'
import { type History, play, playOn } from './histories.ts'
import { createLab } from './lab.ts'
import { NAIVE_FAULTS, playNaively } from './naive.ts'
import { historyOf } from './seeds.ts'

/** Seconds on an idle machine; the limit is for a busy one, and for every single step. */
const PATIENCE_MS = 280_000
const IS_SLOW = process.env['BRAMBLE_SLOW_TESTS'] !== undefined
/** The histories of more seeds are played by test/slow/payouts.test.ts. */
const SEEDS = IS_SLOW ? 20 : 8

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

/** What a settlement does, among others: the death is before each of them, and after. */
const ACTS = [
  ...['insert epochs', 'update receipts', 'insert writer_leases', 'insert payout_batches', 'insert payouts'],
  ...['insert transfers', 'update accounts', 'insert payout_attempts', 'update payout_batches', 'update payouts'],
  ...['finalized', 'history', 'funds', 'existing', 'rehearse', 'lifetime', 'send', 'statuses'],
]
const KINDS = ['moved', 'before sign', ...ACTS.flatMap((act) => [`before ${act}`, `after ${act}`])]
const TABLE_KINDS = ['before tables', 'after tables', 'before tableRents', 'after tableRents']

/** Every n-th step, numbered from 1, and the first of each kind that is not tried elsewhere; in the slow test all. */
const sampleOf = (steps: readonly string[], every: number, elsewhere: readonly string[] = []): number[] =>
  steps.flatMap((kind, index) => {
    const isNew = steps.indexOf(kind) === index && !elsewhere.includes(kind)
    return IS_SLOW || index % every === 0 || isNew ? [index + 1] : []
  })

const [SOME, SOME_THROUGH] = IS_SLOW ? ['every', 'every'] : ['every seventh', 'every fifteenth']

describe('a payout engine that is killed', () => {
  it(
    `at ${SOME} step of a settlement, and at each kind of step, pays everybody once`,
    async () => {
      const lab = await createLab()
      const token = await lab.makeToken()
      const played = (deaths: readonly number[]) =>
        playOn(lab, token, { seed: 1, amounts: [1_000_001n, 2_000_002n], faults: NO_FAULTS, deaths })
      const { steps, verdict } = await played([])
      expect(verdict).toEqual({ ...CLEAN, crashes: 0 })
      expect(steps.length).toBeGreaterThan(100)
      expect(steps).toEqual(expect.arrayContaining(KINDS))
      for (const step of sampleOf(steps, 7)) {
        const { verdict, unsound } = await played([step])
        expect({ step, ...verdict, unsound }).toMatchObject({ step, ...CLEAN, crashes: 1, unsound: [] })
      }
      lab.close()
    },
    PATIENCE_MS,
  )

  it(
    `at ${SOME_THROUGH} step of a settlement through a lookup table, and at each of its own, pays everybody once`,
    async () => {
      const lab = await createLab()
      const token = await lab.makeToken()
      const amounts = [1_000_001n, 2_000_002n, 3n, 4n, 5n, 6n]
      const played = (deaths: readonly number[]) =>
        playOn(lab, token, { seed: 1, amounts, faults: NO_FAULTS, deaths, tables: 'there' })
      const { steps, verdict, through } = await played([])
      expect({ ...verdict, through }).toEqual({ ...CLEAN, crashes: 0, through: 1 })
      expect(steps).toEqual(expect.arrayContaining(TABLE_KINDS))
      for (const step of sampleOf(steps, 15, KINDS)) {
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
      const { crashes, restored, through } = await expectClean(seeds(SEEDS).map(historyOf))
      // The harness must have bitten.
      expect(crashes).toBeGreaterThan(3 * SEEDS)
      expect(restored).toBeGreaterThan(SEEDS / 5)
      expect(through).toBeGreaterThan(SEEDS / 8)
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
