// The inputs that killed the inference process, in buffer.db: they must not get another try because the power was cut.
import type Database from 'better-sqlite3'
import { mayPass } from './pending.ts'

export interface PoisonRow {
  /** sha256 of the model file, and of the media bytes. */
  readonly model: string
  readonly input: string
  /** How it ended the last time. */
  readonly reason: string
  /** Epoch milliseconds of that. */
  readonly at: number
  readonly strikes: number
}

export interface PoisonTable {
  /** Oldest first. */
  all(): readonly PoisonRow[]
  /** False when the disk does not take it: then it is known until the agent ends. */
  put(row: PoisonRow): boolean
  forget(row: Pick<PoisonRow, 'model' | 'input'>): boolean
}

/** A board that has met more than this has another problem; the newest are kept. */
export const POISON_ROWS = 1_000

/** `before`: each write. */
export function createPoisonTable(db: Database.Database, before: () => void): PoisonTable {
  const all = db.prepare<[], PoisonRow>(
    'SELECT model_digest AS model, input, reason, at, strikes FROM poison ORDER BY at, model_digest, input',
  )
  const put = db.prepare<PoisonRow>(
    `INSERT INTO poison VALUES (:model, :input, :reason, :at, :strikes)
     ON CONFLICT DO UPDATE SET reason = :reason, at = :at, strikes = :strikes`,
  )
  const trim = db.prepare<{ rows: number }>(
    `DELETE FROM poison WHERE (model_digest, input) IN
       (SELECT model_digest, input FROM poison ORDER BY at DESC, model_digest, input LIMIT -1 OFFSET :rows)`,
  )
  const forget = db.prepare<Pick<PoisonRow, 'model' | 'input'>>(
    'DELETE FROM poison WHERE model_digest = :model AND input = :input',
  )
  const putAndTrim = db.transaction((row: PoisonRow) => {
    put.run(row)
    trim.run({ rows: POISON_ROWS })
  })

  return {
    all: () => all.all(),
    put: (row) => taken(() => putAndTrim.immediate(row)),
    forget: ({ model, input }) => taken(() => void forget.run({ model, input })),
  }

  function taken(write: () => void): boolean {
    try {
      before()
      write()
      return true
    } catch (error) {
      if (!mayPass(error)) throw error
      return false
    }
  }
}
