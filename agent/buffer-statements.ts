// The SQL of buffer.db, prepared once.
import type Database from 'better-sqlite3'

export interface StoredRow {
  readonly seq: number
  readonly kind: 'task' | 'refusal' | 'sample'
  readonly model: string
  readonly task: string | null
  readonly payload: string
  /** 1 when only the console's ack settles it. */
  readonly receipted: 0 | 1
  readonly batch: number | null
}

export interface Totals {
  bytes: number
  /** Results and batches not yet acknowledged. */
  owed: number
  /** Receipt items in no batch. */
  uncut: number
  /** Answers taken but still remembered. */
  settled: number
  lastSeq: number
  lastHash: string
}

interface Sized {
  readonly bytes: number
}

export interface UncutItem {
  readonly seq: number
  readonly origin: number
  readonly item: string
}

const ROW = 'seq, kind, model, task, payload, item IS NOT NULL AS receipted, batch'

const TOTALS = `
  SELECT
    (SELECT coalesce(sum(bytes), 0) FROM results) + (SELECT coalesce(sum(length(jws)), 0) FROM batches) AS bytes,
    (SELECT count(*) FROM results WHERE settled_at IS NULL) + (SELECT count(*) FROM batches) AS owed,
    (SELECT count(*) FROM results WHERE item IS NOT NULL AND batch IS NULL) AS uncut,
    (SELECT count(*) FROM results WHERE settled_at IS NOT NULL) AS settled,
    last_seq AS lastSeq, last_hash AS lastHash
  FROM file`

function prepareReads(db: Database.Database) {
  return {
    answered: db.prepare<{ model: string; task: string }, StoredRow>(
      `SELECT ${ROW} FROM results WHERE model = :model AND task = :task AND remembered = 1`,
    ),
    row: db.prepare<{ seq: number }, StoredRow>(`SELECT ${ROW} FROM results WHERE seq = :seq`),
    loose: db.prepare<{ after: number; limit: number }, StoredRow>(
      `SELECT ${ROW} FROM results WHERE settled_at IS NULL AND batch IS NULL AND seq > :after ORDER BY seq LIMIT :limit`,
    ),
    nextBatch: db.prepare<{ after: number }, { seq: number; jws: string }>(
      'SELECT seq, jws FROM batches WHERE seq > :after ORDER BY seq LIMIT 1',
    ),
    resultsOf: db.prepare<{ batch: number }, StoredRow>(
      `SELECT ${ROW} FROM results WHERE settled_at IS NULL AND batch = :batch ORDER BY seq`,
    ),
    uncut: db.prepare<{ limit: number }, UncutItem>(
      'SELECT seq, origin, item FROM results WHERE item IS NOT NULL AND batch IS NULL ORDER BY seq LIMIT :limit',
    ),
    origin: db.prepare<{ id: number }, { boot: string; runtime: string }>(
      'SELECT boot, runtime FROM origins WHERE id = :id',
    ),
    originId: db.prepare<{ boot: string; runtime: string }, { id: number }>(
      'SELECT id FROM origins WHERE boot = :boot AND runtime = :runtime',
    ),
  }
}

function prepareWrites(db: Database.Database) {
  return {
    insert: db.prepare(
      `INSERT INTO results (kind, model, task, payload, bytes, made_at, remembered, origin, item)
       VALUES (:kind, :model, :task, :payload, :bytes, :at, :remembered, :origin, :item)`,
    ),
    addOrigin: db.prepare<{ boot: string; runtime: string }>(
      'INSERT INTO origins (boot, runtime) VALUES (:boot, :runtime) ON CONFLICT DO NOTHING',
    ),
    addBatch: db.prepare<{ seq: number; jws: string; at: number }>('INSERT INTO batches VALUES (:seq, :jws, :at)'),
    moveHead: db.prepare<{ seq: number; hash: string }>('UPDATE file SET last_seq = :seq, last_hash = :hash'),
    putInBatch: db.prepare<{ seq: number; batch: number }>('UPDATE results SET batch = :batch WHERE seq = :seq'),
    settleBatches: db.prepare<{ upTo: number; at: number }>(
      'UPDATE results SET settled_at = :at, batch = NULL, item = NULL WHERE settled_at IS NULL AND batch <= :upTo',
    ),
    dropBatches: db.prepare<{ upTo: number }, Sized>(
      'DELETE FROM batches WHERE seq <= :upTo RETURNING length(jws) AS bytes',
    ),
    settleRow: db.prepare<{ seq: number; at: number }>(
      'UPDATE results SET settled_at = :at WHERE seq = :seq AND settled_at IS NULL AND item IS NULL AND remembered = 1',
    ),
    dropRow: db.prepare<{ seq: number }, Sized>(
      'DELETE FROM results WHERE seq = :seq AND settled_at IS NULL AND item IS NULL AND remembered = 0 RETURNING bytes',
    ),
    forgetOlder: db.prepare<{ before: number }, Sized>(
      'DELETE FROM results WHERE settled_at < :before RETURNING bytes',
    ),
    forgetSome: db.prepare<{ count: number }, Sized>(
      `DELETE FROM results WHERE seq IN (SELECT seq FROM results WHERE settled_at IS NOT NULL ORDER BY settled_at LIMIT :count)
       RETURNING bytes`,
    ),
    dropSpare: db.prepare<{ kind: 'sample' | 'refusal'; count: number }, Sized>(
      `DELETE FROM results WHERE seq IN
         (SELECT seq FROM results WHERE kind = :kind AND settled_at IS NULL ORDER BY seq LIMIT :count)
       RETURNING bytes`,
    ),
  }
}

export function prepareStatements(db: Database.Database) {
  const totals = db.prepare<[], Totals>(TOTALS).get()
  if (totals === undefined) throw new Error('buffer.db has no file row')
  return { totals, ...prepareReads(db), ...prepareWrites(db) }
}
export type Statements = ReturnType<typeof prepareStatements>
