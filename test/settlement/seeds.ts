// The history of a seed: chance decides, and replays exactly.

import { createRandom } from '../harness/random.ts'
import { type Faults, NO_FAULTS } from './faulty-network.ts'
import type { History } from './histories.ts'

/** Each kind of trouble by itself, and together. */
const WEATHER: readonly Faults[] = [
  { ...NO_FAULTS, drop: 0.15, mute: 0.15, lost: 0.3 },
  { ...NO_FAULTS, late: 0.7, mute: 0.1, slow: 0.05 },
  { ...NO_FAULTS, lagging: 0.02, forked: 0.8, late: 0.8, mute: 0.1 },
  { ...NO_FAULTS, blind: 0.01, late: 0.5, lost: 0.2, mute: 0.05 },
  { ...NO_FAULTS, lost: 0.9 },
  { drop: 0.1, mute: 0.1, late: 0.3, lost: 0.3, lagging: 0.05, forked: 0.2, blind: 0, forgets: 0, slow: 0.05 },
  { drop: 0.1, mute: 0.1, late: 0.3, lost: 0.3, lagging: 0.05, forked: 0.2, blind: 0.005, forgets: 0, slow: 0.05 },
]

/** The history of a seed: how many owners, consoles, deaths and backups, and the weather. */
export function historyOf(seed: number): History {
  const random = createRandom(seed * 7_919)
  const below = (limit: number): number => Math.floor(random() * limit)
  const weather = WEATHER[seed % WEATHER.length] ?? NO_FAULTS
  const isListed = seed % 5 < 3
  const owners = seed % 10 === 0 ? 12 + below(12) : isListed ? 4 + below(7) : 1 + below(3)
  const isRestored = seed % 3 === 0
  return {
    seed,
    amounts: Array.from({ length: owners }, () => BigInt(1 + below(10 ** 9))),
    // A node that denies what the chain holds, and a database that has forgotten it: nobody is left to know.
    faults: isRestored ? { ...weather, blind: 0, forgets: seed % 2 === 0 ? 0.3 : 0 } : weather,
    // The engine of a database that may be old waits before it does anything, some 200 steps.
    deaths: Array.from({ length: 3 + below(isRestored ? 8 : 5) }, () => 1 + below(isRestored ? 600 : 110)),
    writers: 1 + (seed % 2),
    restores: isRestored ? 1 + below(3) : 0,
    credits: below(isRestored ? 8 : 5),
    newWallets: below(isRestored ? 5 : 3),
    // Before a history that begins with lookup tables, everybody was paid.
    latecomers: isListed && seed % 2 === 0 ? 0 : below(3),
    frozen: seed % (isRestored ? 2 : 4) === 0 ? 1 : 0,
    ...(isListed && {
      tables: seed % 2 === 0 ? ('there' as const) : ('wanted' as const),
      meddled: true,
      paydays: 1 + below(3),
    }),
  }
}
