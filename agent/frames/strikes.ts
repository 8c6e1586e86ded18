// The book of inputs over which an inference process died: in memory and, by their hashes, on disk.
import { POISON_ROWS, type PoisonRow, type PoisonTable } from '../outbox/poison.ts'

export interface Strikes {
  /** `inputOf` is asked only where something is noted of this model. */
  find(model: string, inputOf: () => string): PoisonRow | undefined
  /** False when the disk does not take it: then it is known until the agent ends. */
  note(row: PoisonRow): boolean
  forget(row: PoisonRow): void
  /** Those that are run no more, oldest first. */
  poisonous(): readonly PoisonRow[]
}

export const STRIKES = 2
/** Two chances this far apart are two chances, not one cause. */
const STRIKE_LASTS_MS = 24 * 3_600_000

export const isPoison = ({ strikes }: PoisonRow): boolean => strikes >= STRIKES

export function createStrikes(table: PoisonTable, now: () => number): Strikes {
  // Oldest first, as the table gives them and as they are noted.
  const rows = new Map<string, PoisonRow>()
  /** Rows by model. */
  const counts = new Map<string, number>()
  /** When the next one that was struck once is forgiven, at the earliest. */
  let forgiveAt = Number.POSITIVE_INFINITY

  const keyOf = (model: string, input: string): string => `${model}/${input}`

  function drop({ model, input }: Pick<PoisonRow, 'model' | 'input'>): void {
    if (rows.delete(keyOf(model, input))) counts.set(model, (counts.get(model) ?? 1) - 1)
  }

  function keep(row: PoisonRow): void {
    drop(row)
    rows.set(keyOf(row.model, row.input), row)
    counts.set(row.model, (counts.get(row.model) ?? 0) + 1)
    if (!isPoison(row)) forgiveAt = Math.min(forgiveAt, row.at + STRIKE_LASTS_MS)
    const [oldest] = rows.values()
    if (rows.size > POISON_ROWS && oldest !== undefined) drop(oldest)
  }

  function forget(row: PoisonRow): void {
    drop(row)
    table.forget(row)
  }

  /** Those whose one strike is too long ago. */
  function forgive(): void {
    const at = now()
    if (at < forgiveAt) return
    forgiveAt = Number.POSITIVE_INFINITY
    for (const row of [...rows.values()]) {
      if (isPoison(row)) continue
      if (Math.abs(at - row.at) < STRIKE_LASTS_MS) forgiveAt = Math.min(forgiveAt, row.at + STRIKE_LASTS_MS)
      else forget(row)
    }
  }

  for (const row of table.all()) keep(row)

  return {
    find(model, inputOf) {
      if ((counts.get(model) ?? 0) === 0) return undefined
      forgive()
      return rows.get(keyOf(model, inputOf()))
    },
    note(row) {
      keep(row)
      return table.put(row)
    },
    forget,
    poisonous: () => [...rows.values()].filter(isPoison),
  }
}
