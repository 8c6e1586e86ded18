// The board's memory of what it owes: answers and receipts, in one SQLite file. Everything is written by `write`, one
// transaction for many changes, because on an SD card the commit is what costs.
import { type KeyObject, randomUUID } from 'node:crypto'
import type { Runtime } from '../../broker/protocol/messages.ts'
import { FIRST_PREV } from '../../broker/protocol/receipts.ts'
import { type BufferError, damageOf, openBufferFile } from './buffer-file.ts'
import { prepareStatements, type Statements, type StoredBatch, type StoredRow } from './buffer-statements.ts'
import { applyChanges, type Changes, type Written } from './buffer-write.ts'
import { createPoisonTable, type PoisonTable } from './poison.ts'
import type { SetAside } from './set-aside.ts'

export interface Buffer {
  /** The name of this board's chain of batches. */
  chain(): string
  /** The last link of the chain: 0 before the first batch. */
  lastSeq(): number
  readonly setAside: SetAside | undefined
  readonly poison: PoisonTable
  /** All or nothing, on disk when it returns. Throws SqliteError (disk full, read-only…) with nothing changed. */
  write(changes: Changes): Written
  /** The id under which runs of this process and runtime are noted; it is written with the first of them. */
  origin(boot: string, runtime: Runtime): number
  /** The answer already made for this task id, owed or remembered. */
  answered(model: string, task: string): StoredRow | undefined
  row(seq: number): StoredRow | undefined
  /** Owed rows in no batch, oldest first. */
  loose(after: number, limit: number): StoredRow[]
  /** The newest row ever made. */
  lastRow(): number
  /** True for a row that goes out with its batch. */
  inBatch(row: Pick<StoredRow, 'seq' | 'receipted'>): boolean
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
  /** A new chain begins: what is in a batch and was not acknowledged will be in one of it. */
  renew(): void
  /** There is nothing to do: the write-ahead log is copied into the file and emptied, if that is worth it. */
  rest(): void
  close(): void
}

export interface BufferOptions {
  readonly file: string
  readonly device: string
  readonly privateKey: KeyObject
  readonly capBytes: number
  /** Epoch milliseconds that do not jump (clock.ts, createSteady): answers are remembered by it. */
  readonly now: () => number
  /** The file was found damaged: whoever asked gets the same error, but may be a handler that goes on after errors. */
  readonly onDamage?: (error: BufferError) => void
}

/** Writes after which a rest copies the log: a board that answers once a minute must not pay for it each time. */
const WORTH_COPYING = 32

/** Opens or makes the file. A damaged one is set aside (`setAside`); BufferError when it is newer, in use or cannot be written. */
export function openBuffer(options: BufferOptions): Buffer {
  const { db, setAside, ...file } = openBufferFile(options.file, options.device, options.now, options.capBytes)
  const sql = prepareStatements(db)
  const pen = { ...options, chain: file.chain, sql }
  let totals = sql.totals()
  let full = totals.bytes > options.capBytes
  const origins = createOriginIds(sql)
  const transact = db.transaction((changes: Changes) => {
    const next = { ...totals }
    origins.write()
    return { next, ...applyChanges(pen, changes, next) }
  })
  let writesInLog = 0
  function guarded<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => R {
    return (...args) => {
      try {
        return work(...args)
      } catch (error) {
        const damage = damageOf(options.file, error, options.now())
        if (damage) options.onDamage?.(damage)
        throw damage ?? error
      }
    }
  }
  const poison = createPoisonTable(db)
  const beginChain = db.transaction((chain: string) => {
    sql.dropAllBatches.run()
    sql.beginChain.run({ chain, hash: FIRST_PREV })
  })
  return {
    chain: () => pen.chain,
    setAside,
    poison: { ...poison, put: guarded(poison.put), forget: guarded(poison.forget) },
    lastSeq: () => totals.lastSeq,
    write: guarded((changes) => {
      const done = transact.immediate(changes)
      totals = done.next
      full = done.full
      origins.written()
      writesInLog += 1
      return done
    }),
    origin: guarded((boot, runtime) => origins.idOf({ boot, runtime: JSON.stringify(runtime) })),
    answered: guarded((model, task) => sql.answered.get({ model, task })),
    row: guarded((seq) => sql.row.get({ seq })),
    loose: guarded((after, limit) =>
      after < totals.lastRow ? sql.loose.all({ after, cutRow: totals.cutRow, limit }) : [],
    ),
    lastRow: () => totals.lastRow,
    inBatch: ({ seq, receipted }) => receipted === 1 && seq <= totals.cutRow,
    nextBatch: guarded((after) => (after < totals.lastSeq ? sql.nextBatch.get({ after }) : undefined)),
    resultsOf: guarded((batch) => sql.resultsOf.all({ batch })),
    owed: () => totals.owed,
    uncut: () => totals.uncut,
    bytes: () => totals.bytes,
    full: () => full,
    renew: guarded(() => {
      const chain = randomUUID()
      beginChain.immediate(chain)
      pen.chain = chain
      totals = sql.totals()
    }),
    rest: guarded(() => {
      if (writesInLog < WORTH_COPYING) return
      db.pragma('wal_checkpoint(TRUNCATE)')
      writesInLog = 0
    }),
    close: () => db.close(),
  }
}

/** A disk that takes nothing at the start is no other than one that takes nothing later: nothing is written before there are answers. */
function createOriginIds(sql: Pick<Statements, 'origins' | 'addOrigin'>) {
  const ids = new Map(sql.origins.all().map(({ id, boot, runtime }) => [`${boot} ${runtime}`, id]))
  let unwritten: { id: number; boot: string; runtime: string }[] = []
  let last = Math.max(0, ...ids.values())

  return {
    idOf(origin: { boot: string; runtime: string }): number {
      const key = `${origin.boot} ${origin.runtime}`
      const known = ids.get(key)
      if (known !== undefined) return known
      last += 1
      ids.set(key, last)
      unwritten.push({ id: last, ...origin })
      return last
    },
    write(): void {
      for (const origin of unwritten) sql.addOrigin.run(origin)
    },
    written(): void {
      unwritten = []
    },
  }
}
