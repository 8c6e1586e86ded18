// A thousand histories of the payout engine, where `npm test` plays eight: nobody is paid twice, nobody is left out, nothing hangs, and
// books and chain agree; the naive engine beside it is caught. On a slow machine as many as the time allows.
import { expect, test } from 'vitest'
import { faultsOf, simulate } from '../simulate/run.ts'

const SEEDS = 1_000
/** A thousand take a quarter of an hour on two idle cores. */
const TIME_MS = 20 * 60_000
/** In fewer there is too little of each kind of trouble. */
const LEAST = 150

test(
  'a thousand lives of the payout engine pay everybody once',
  async () => {
    const end = performance.now() + TIME_MS
    const seeds = Array.from({ length: SEEDS }, (_, index) => index + 1)
    const total = await simulate(seeds, { goesOn: () => performance.now() < end })
    expect({ faults: faultsOf(total), bad: total.bad }).toEqual({ faults: [], bad: [] })
    expect(total.histories).toBeGreaterThanOrEqual(LEAST)
    // The harness must have bitten.
    const { crashes, restored, attributed, through } = total
    expect(Math.min(crashes / 5, restored * 3, attributed * 20, through * 5)).toBeGreaterThan(total.histories)
  },
  TIME_MS + 300_000,
)
