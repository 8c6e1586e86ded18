// Inputs over which the inference process died. One death may be chance (the system was out of memory, somebody stopped the
// process) or the fault of a frame beside it, so the second try is made alone; after a second death the input is poison for this
// version of the model, also after a restart. A run that ends well clears it, and so does the board's owner.
import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import type { PoisonRow, PoisonTable } from '../outbox/poison.ts'
import { createStrikes, isPoison, STRIKES } from './strikes.ts'

export interface Suspects {
  /** How it killed the process, when it must not run again. */
  poisonedBy(job: Accused): string | undefined
  /** A process died over it: it must run alone. Nothing is hashed for a model over which none did. */
  isSuspected(job: Accused): boolean
  /** A process died over it, perhaps for the second time (which counts only if nothing ran beside it): how often now. */
  struck(job: Accused, reason: string, alone: boolean): number
  /** It ran well. */
  cleared(job: Accused): void
  /** Known poisonous inputs, oldest first. */
  list(): readonly PoisonRow[]
  /** This input (a sha256), or every one, may be run again. Answers how many were poisonous. */
  pardon(input: string | undefined): number
  /** Known poisonous inputs. */
  count(): number
}

/** What is asked about; the hash is made when it is first needed, and then kept. */
export interface Accused {
  readonly pkg: { readonly sha256: string }
  readonly frame: { readonly data: Uint8Array }
  inputSha256?: string
}

export function inputOf(job: Pick<Accused, 'frame' | 'inputSha256'>): string {
  job.inputSha256 ??= createHash('sha256').update(job.frame.data).digest('hex')
  return job.inputSha256
}

interface Options {
  readonly table: PoisonTable
  readonly now: () => number
  readonly log: Logger
  /** The known poisonous inputs, at the start and whenever one comes or goes. */
  readonly told?: ((poisonous: readonly PoisonRow[]) => void) | undefined
}

export function createSuspects({ table, now, log, told = () => {} }: Options): Suspects {
  const strikes = createStrikes(table, now)
  const find = (job: Accused): PoisonRow | undefined => strikes.find(job.pkg.sha256, () => inputOf(job))
  const tell = (): void => told(strikes.poisonous())

  function forget(rows: readonly PoisonRow[]): void {
    for (const row of rows) strikes.forget(row)
    if (rows.some(isPoison)) tell()
  }

  function note(row: PoisonRow): void {
    const { model, input, reason } = row
    if (!strikes.note(row)) log.warn({ input }, 'the disk does not take the hash of an input that killed a process')
    if (row.strikes !== STRIKES) return
    log.error({ model, input, reason }, 'an input killed its process twice: it is run no more')
    tell()
  }

  tell()
  return {
    poisonedBy(job) {
      const row = find(job)
      return row && isPoison(row) ? row.reason : undefined
    },
    isSuspected: (job) => find(job) !== undefined,
    struck(job, reason, alone) {
      const before = find(job)?.strikes ?? 0
      const count = alone ? before + 1 : Math.max(1, before)
      note({ model: job.pkg.sha256, input: inputOf(job), reason, at: now(), strikes: count })
      return count
    },
    cleared(job) {
      const row = find(job)
      if (row) forget([row])
    },
    list: strikes.poisonous,
    pardon(input) {
      const rows = strikes.poisonous().filter((row) => input === undefined || row.input === input)
      forget(rows)
      return rows.length
    },
    count: () => strikes.poisonous().length,
  }
}
