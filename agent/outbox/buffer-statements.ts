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

export interface StoredBatch {
  readonly seq: number
  readonly jws: string
}

/** Kept in memory and moved with each commit; read from the file once, at open. */
export interface Totals {
  bytes: number
  /** Results and batches not yet acknowledged. */
  owed: number
  /** Owed samples and owed refusals: what the byte cap may drop. */
  sample: number
  refusal: number
  /** Receipt items in no batch. */
  uncut: number
  /** Answers taken but still remembered. */
  settled: number
  /** The newest row ever made, and the newest one that is in a batch or needs none. */
  lastRow: number
  cutRow: number
  lastSeq: number
  lastHash: string
}

interface Sized {
  readonly bytes: number
}

interface Settled extends Sized {
  readonly kind: StoredRow['kind']
}

export interface UncutItem {
  readonly seq: number
  readonly origin: number
  readonly item: string
}

const ROW = 'seq, kind, model, task, payload, item IS NOT NULL AS receipted, batch'

const TOTALS = `
  SELECT
    (SELECT coalesce(sum(length(jws)), 0) FROM batches) + coalesce(sum(r.bytes), 0) AS bytes,
    (SELECT count(*) FROM batches) + count(*) FILTER (WHERE r.seq IS NOT NULL AND r.settled_at IS NULL) AS owed,
    count(*) FILTER (WHERE r.kind = 'sample' AND r.settled_at IS NULL) AS sample,
    count(*) FILTER (WHERE r.kind = 'refusal' AND r.settled_at IS NULL) AS refusal,
    count(*) FILTER (WHERE r.item IS NOT NULL AND r.batch IS NULL) AS uncut,
    count(*) FILTER (WHERE r.settled_at IS NOT NULL) AS settled,
    coalesce(max(r.seq), 0) AS lastRow,
    coalesce(min(r.seq) FILTER (WHERE r.item IS NOT NULL AND r.batch IS NULL) - 1, max(r.seq), 0) AS cutRow,
    f.last_seq AS lastSeq, f.last_hash AS lastHash
  FROM file AS f LEFT JOIN results AS r`

function prepareReads(db: Database.Database) {
  return {
    answered: db.prepare<{ model: string; task: string }, StoredRow>(
      `SELECT ${ROW} FROM results WHERE model = :model AND task = :task AND remembered = 1`,
    ),
    row: db.prepare<{ seq: number }, StoredRow>(`SELECT ${ROW} FROM results WHERE seq = :seq`),
    loose: db.prepare<{ after: number; limit: number }, StoredRow>(
      `SELECT ${ROW} FROM results WHERE seq > :after AND settled_at IS NULL AND batch IS NULL ORDER BY seq LIMIT :limit`,
    ),
    nextBatch: db.prepare<{ after: number }, StoredBatch>(
      'SELECT seq, jws FROM batches WHERE seq > :after ORDER BY seq LIMIT 1',
    ),
    resultsOf: db.prepare<{ batch: number }, StoredRow>(
      `SELECT ${ROW} FROM results
       WHERE seq BETWEEN (SELECT first_row FROM batches WHERE seq = :batch) AND (SELECT last_row FROM batches WHERE seq = :batch)
         AND batch = :batch
       ORDER BY seq`,
    ),
    uncut: db.prepare<{ after: number; limit: number }, UncutItem>(
      `SELECT seq, origin, item FROM results
       WHERE seq > :after AND item IS NOT NULL AND batch IS NULL ORDER BY seq LIMIT :limit`,
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
      `INSERT INTO results (seq, kind, model, task, payload, bytes, made_at, remembered, origin, item)
       VALUES (:seq, :kind, :model, :task, :payload, :bytes, :at, :remembered, :origin, :item)`,
    ),
    addOrigin: db.prepare<{ boot: string; runtime: string }>(
      'INSERT INTO origins (boot, runtime) VALUES (:boot, :runtime) ON CONFLICT DO NOTHING',
    ),
    addBatch: db.prepare<{ seq: number; first: number; last: number; jws: string; at: number }>(
      'INSERT INTO batches VALUES (:seq, :first, :last, :jws, :at)',
    ),
    moveHead: db.prepare<{ seq: number; hash: string }>('UPDATE file SET last_seq = :seq, last_hash = :hash'),
    putInBatch: db.prepare<{ seq: number; batch: number }>('UPDATE results SET batch = :batch WHERE seq = :seq'),
    settleBatches: db.prepare<{ upTo: number; at: number }>(
      `UPDATE results SET settled_at = :at, batch = NULL, item = NULL
       WHERE seq BETWEEN (SELECT min(first_row) FROM batches WHERE seq <= :upTo)
         AND (SELECT max(last_row) FROM batches WHERE seq <= :upTo)
         AND batch <= :upTo`,
    ),
    dropBatches: db.prepare<{ upTo: number }, Sized>(
      'DELETE FROM batches WHERE seq <= :upTo RETURNING length(jws) AS bytes',
    ),
    settleRow: db.prepare<{ seq: number; at: number }, Settled>(
      `UPDATE results SET settled_at = :at
       WHERE seq = :seq AND settled_at IS NULL AND item IS NULL AND remembered = 1 RETURNING kind, bytes`,
    ),
    dropRow: db.prepare<{ seq: number }, Settled>(
      `DELETE FROM results
       WHERE seq = :seq AND settled_at IS NULL AND item IS NULL AND remembered = 0 RETURNING kind, bytes`,
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
