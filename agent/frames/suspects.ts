// Inputs that killed the inference process. One kill may be chance (the system was out of memory, somebody stopped the
// process), so there is a second try; after the second kill the input is poison for this version of the model, also after a
// restart. A try that ends well clears it.
import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { POISON_ROWS, type PoisonRow, type PoisonTable } from '../outbox/poison.ts'

export interface Suspects {
  /** How it killed the process, when it must not run again. Nothing is hashed for a model that no input has killed twice. */
  poisonedBy(job: Accused): string | undefined
  /** It killed the process once more: how often now. */
  struck(job: Accused, reason: string): number
  /** It ran well after all. */
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
  /** Poisonous inputs by model. */
  const counts = new Map<string, number>()

  const keyOf = (job: Accused): string => `${job.pkg.sha256}/${inputOf(job)}`

  function drop(key: string): PoisonRow | undefined {
    const row = rows.get(key)
    if (row && row.strikes >= STRIKES) counts.set(row.model, (counts.get(row.model) ?? 1) - 1)
    rows.delete(key)
    return row
  }

  function note(row: PoisonRow): void {
    const key = `${row.model}/${row.input}`
    drop(key)
    rows.set(key, row)
    if (row.strikes >= STRIKES) counts.set(row.model, (counts.get(row.model) ?? 0) + 1)
    const [oldest] = rows.keys()
    if (rows.size > POISON_ROWS && oldest !== undefined) drop(oldest)
  }

  for (const row of table.all()) note(row)

  return {
    poisonedBy(job) {
      if ((counts.get(job.pkg.sha256) ?? 0) === 0) return undefined
      const row = rows.get(keyOf(job))
      return row && row.strikes >= STRIKES ? row.reason : undefined
    },
    struck(job, reason) {
      const at = now()
      const before = rows.get(keyOf(job))
      const lasts = before !== undefined && Math.abs(at - before.at) < STRIKE_LASTS_MS
      const row = { model: job.pkg.sha256, input: inputOf(job), reason, at, strikes: lasts ? before.strikes + 1 : 1 }
      note(row)
      const { model, input, strikes } = row
      if (!table.put(row)) log.warn({ input }, 'the disk does not take the hash of an input that killed a process')
      if (strikes === STRIKES)
        log.error({ model, input, reason }, 'an input killed its process twice: it is run no more')
      return strikes
    },
    cleared(job) {
      const row = drop(keyOf(job))
      if (row) table.forget(row)
    },
    count: () => counts.values().reduce((sum, count) => sum + count, 0),
  }
}
