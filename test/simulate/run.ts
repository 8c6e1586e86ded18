// Many histories of the payout engine, each with its seed, added up; and beside each the naive engine as a control.
import { play } from '../settlement/histories.ts'
import { NAIVE_FAULTS, playNaively } from '../settlement/naive.ts'
import { historyOf } from '../settlement/seeds.ts'

/** In so many histories the control is caught by anything but chance. */
const NAIVE_HISTORIES = 15

export interface Total {
  histories: number
  crashes: number
  restored: number
  /** Payments to wallets that a restored database did not know. */
  attributed: number
  overpaid: number
  underpaid: number
  stuck: number
  /** Sentences of the ledger check and of the reconciliation that should not be. */
  unsound: number
  /** Transactions through a lookup table that paid. */
  through: number
  lostTables: number
  readonly naive: { histories: number; overpaid: number }
  /** Seeds to look at. */
  readonly bad: number[]
}

/** Why the whole run is no proof; empty when it is one. */
export const faultsOf = ({ overpaid, underpaid, stuck, unsound, lostTables, naive, histories }: Total): string[] => [
  ...Object.entries({ overpaid, underpaid, stuck, unsound, lostTables }).flatMap(([what, count]) =>
    count > 0 ? [`${count} ${what}`] : [],
  ),
  ...(histories > 0 ? [] : ['nothing was played']),
  ...(naive.overpaid > 0 ? [] : [`the naive engine was not caught in ${naive.histories} histories`]),
]

export type Heard = (total: Total, told: { readonly seed: number; readonly unsound: readonly string[] }) => void

/** One after the other while `goesOn`; `heard` after each. */
export async function simulate(
  seeds: readonly number[],
  { heard = () => undefined, goesOn = () => true }: { heard?: Heard; goesOn?: () => boolean } = {},
): Promise<Total> {
  const naive = { histories: 0, overpaid: 0 }
  const bad: number[] = []
  const found = { overpaid: 0, underpaid: 0, stuck: 0, unsound: 0, lostTables: 0 }
  const total: Total = { histories: 0, crashes: 0, restored: 0, attributed: 0, ...found, through: 0, naive, bad }
  const control = async (seed: number): Promise<void> => {
    naive.histories++
    naive.overpaid += (await playNaively(seed, NAIVE_FAULTS)).overpaid
  }
  for (const seed of seeds) {
    if (!goesOn()) break
    const { verdict, restored, attributed, through, lostTables, unsound } = await play(historyOf(seed))
    total.histories++
    total.crashes += verdict.crashes
    total.restored += restored
    total.attributed += attributed
    total.through += through
    total.overpaid += verdict.overpaid
    total.underpaid += verdict.underpaid
    total.stuck += verdict.stuck
    total.unsound += unsound.length
    total.lostTables += lostTables
    if (verdict.overpaid + verdict.underpaid + verdict.stuck + unsound.length + lostTables > 0) bad.push(seed)
    await control(seed)
    heard(total, { seed, unsound })
  }
  for (let seed = (seeds.at(-1) ?? 0) + 1; naive.histories < NAIVE_HISTORIES; seed++) await control(seed)
  return total
}
