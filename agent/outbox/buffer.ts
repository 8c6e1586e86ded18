// The board's memory of what it owes: answers and receipts, in one SQLite file. Everything is written by `write`, one
// transaction for many changes, because on an SD card the commit is what costs.
import type { KeyObject } from 'node:crypto'
import type { Runtime } from '../../broker/protocol/messages.ts'
import { openBufferFile, type SetAside } from './buffer-file.ts'
import { prepareStatements, type StoredBatch, type StoredRow } from './buffer-statements.ts'
import { applyChanges, type Changes, type Written } from './buffer-write.ts'

export interface Buffer {
  readonly chain: string
  /** The last link of the chain: 0 before the first batch. */
  lastSeq(): number
  readonly setAside: SetAside | undefined
  /** All or nothing, on disk when it returns. Throws SqliteError (disk full, read-only…) with nothing changed. */
  write(changes: Changes): Written
  /** The id under which runs of this process and runtime are noted. */
  origin(boot: string, runtime: Runtime): number
  /** The answer already made for this task id, owed or remembered. */
  answered(model: string, task: string): StoredRow | undefined
  row(seq: number): StoredRow | undefined
  /** Owed rows in no batch, oldest first. */
  loose(after: number, limit: number): StoredRow[]
  /** The oldest unacknowledged batch after `seq`. */
  nextBatch(after: number): StoredBatch | undefined
  resultsOf(batch: number): StoredRow[]
  /** Results and batches not yet acknowledged. */
  owed(): number
  /** Receipt items in no batch. */
  uncut(): number
  bytes(): number
  /** True while what must be kept fills the cap: no more work should be taken. */
  full(): boolean
  close(): void
}

export interface BufferOptions {
  readonly file: string
  readonly device: string
  readonly privateKey: KeyObject
  readonly capBytes: number
  readonly now: () => number
}

/** Opens or makes the file. A damaged one is set aside (`setAside`); BufferError when it is newer, in use or cannot be written. */
export function openBuffer(options: BufferOptions): Buffer {
  const { db, chain, setAside } = openBufferFile(options.file, options.device, options.now)
  const sql = prepareStatements(db)
  const pen = { ...options, chain, sql }
  let totals = sql.totals
  let full = totals.bytes > options.capBytes
  const transact = db.transaction((changes: Changes) => {
    const next = { ...totals }
    return { next, ...applyChanges(pen, changes, next) }
  })
  return {
    chain,
    setAside,
    lastSeq: () => totals.lastSeq,
    write(changes) {
      const done = transact.immediate(changes)
      totals = done.next
      full = done.full
      return done
    },
    origin(boot, runtime) {
      const key = { boot, runtime: JSON.stringify(runtime) }
      sql.addOrigin.run(key)
      return sql.originId.get(key)?.id ?? 0
    },
    answered: (model, task) => sql.answered.get({ model, task }),
    row: (seq) => sql.row.get({ seq }),
    loose: (after, limit) => (after < totals.lastRow ? sql.loose.all({ after, limit }) : []),
    nextBatch: (after) => (after < totals.lastSeq ? sql.nextBatch.get({ after }) : undefined),
    resultsOf: (batch) => sql.resultsOf.all({ batch }),
    owed: () => totals.owed,
    uncut: () => totals.uncut,
    bytes: () => totals.bytes,
    full: () => full,
    close: () => db.close(),
  }
}
