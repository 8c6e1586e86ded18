// Inputs over which the inference process died. One death may be chance (the system was out of memory, somebody stopped the
// process) or the fault of a frame beside it, so the second try is made alone; after a second death the input is poison for this
// version of the model, also after a restart. A run that ends well clears it.
import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { POISON_ROWS, type PoisonRow, type PoisonTable } from '../outbox/poison.ts'

export interface Suspects {
  /** How it killed the process, when it must not run again. */
  poisonedBy(job: Accused): string | undefined
  /** A process died over it: it must run alone. Nothing is hashed for a model over which none did. */
  isSuspected(job: Accused): boolean
  /** A process died over it, perhaps for the second time (which counts only if nothing ran beside it): how often now. */
  struck(job: Accused, reason: string, alone: boolean): number
  /** It ran well. */
  cleared(job: Accused): void
  /** Known poisonous inputs. */
  count(): number
}

/** What is asked about; the hash is made when it is first needed, and then kept. */
export interface Accused {
  readonly pkg: { readonly sha256: string }
  readonly frame: { readonly data: Uint8Array }
  inputSha256?: string
}

export const STRIKES = 2
/** Two chances this far apart are two chances, not one cause. */
const STRIKE_LASTS_MS = 24 * 3_600_000

export function inputOf(job: Pick<Accused, 'frame' | 'inputSha256'>): string {
  job.inputSha256 ??= createHash('sha256').update(job.frame.data).digest('hex')
  return job.inputSha256
}

interface Options {
  readonly table: PoisonTable
  readonly now: () => number
  readonly log: Logger
}

export function createSuspects({ table, now, log }: Options): Suspects {
  // Oldest first, as the table gives them and as they are noted.
  const rows = new Map<string, PoisonRow>()
  /** Rows by model. */
  const counts = new Map<string, number>()
  /** When the next one that was struck once is forgiven, at the earliest. */
  let forgiveAt = Number.POSITIVE_INFINITY

  const keyOf = (job: Accused): string => `${job.pkg.sha256}/${inputOf(job)}`

  function drop(key: string): PoisonRow | undefined {
    const row = rows.get(key)
    if (row) counts.set(row.model, (counts.get(row.model) ?? 1) - 1)
    rows.delete(key)
    return row
  }

  function note(row: PoisonRow): void {
    const key = `${row.model}/${row.input}`
    drop(key)
    rows.set(key, row)
    counts.set(row.model, (counts.get(row.model) ?? 0) + 1)
    if (row.strikes < STRIKES) forgiveAt = Math.min(forgiveAt, row.at + STRIKE_LASTS_MS)
    const [oldest] = rows.keys()
    if (rows.size > POISON_ROWS && oldest !== undefined) drop(oldest)
  }

  /** Those whose one strike is too long ago. */
  function forgive(): void {
    const at = now()
    if (at < forgiveAt) return
    forgiveAt = Number.POSITIVE_INFINITY
    for (const [key, row] of [...rows]) {
      if (row.strikes >= STRIKES) continue
      if (Math.abs(at - row.at) < STRIKE_LASTS_MS) forgiveAt = Math.min(forgiveAt, row.at + STRIKE_LASTS_MS)
      else forget(key)
    }
  }

  function forget(key: string): void {
    const row = drop(key)
    if (row) table.forget(row)
  }

  function find(job: Accused): PoisonRow | undefined {
    if ((counts.get(job.pkg.sha256) ?? 0) === 0) return undefined
    forgive()
    return rows.get(keyOf(job))
  }

  for (const row of table.all()) note(row)

  return {
    poisonedBy(job) {
      const row = find(job)
      return row && row.strikes >= STRIKES ? row.reason : undefined
    },
    isSuspected: (job) => find(job) !== undefined,
    struck(job, reason, alone) {
      const before = find(job)?.strikes ?? 0
      const strikes = alone ? before + 1 : Math.max(1, before)
      const row = { model: job.pkg.sha256, input: inputOf(job), reason, at: now(), strikes }
      note(row)
      const { model, input } = row
      if (!table.put(row)) log.warn({ input }, 'the disk does not take the hash of an input that killed a process')
      if (strikes === STRIKES)
        log.error({ model, input, reason }, 'an input killed its process twice: it is run no more')
      return strikes
    },
    cleared(job) {
      if (find(job)) forget(keyOf(job))
    },
    count: () => rows.values().reduce((sum, { strikes }) => sum + (strikes >= STRIKES ? 1 : 0), 0),
  }
}
