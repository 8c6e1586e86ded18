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
  /** The newest row ever made; up to which one those with a receipt are in a batch; up to which one the console has them. */
  lastRow: number
  cutRow: number
  ackedRow: number
  lastSeq: number
  lastHash: string
  /** When settled answers were last looked through. */
  forgotAt: number
}

interface Sized {
  readonly bytes: number
}

interface Settled extends Sized {
  readonly kind: StoredRow['kind']
}

interface Dropped extends Sized {
  readonly items: number
  readonly lastRow: number
}

export interface UncutItem {
  readonly seq: number
  readonly origin: number
  readonly item: string
}

const ROW = 'seq, kind, model, task, payload, item IS NOT NULL AS receipted'

// Rows are cut in their order and batches are acknowledged in theirs, so two row numbers say where each result stands.
const TOTALS = `
  WITH acked AS (SELECT coalesce(max(row), 0) AS row FROM acks),
    cut AS (SELECT max(coalesce((SELECT max(last_row) FROM batches), 0), acked.row) AS row FROM acked)
  SELECT
    (SELECT coalesce(sum(octet_length(jws)), 0) FROM batches) + coalesce(sum(r.bytes), 0) AS bytes,
    (SELECT count(*) FROM batches) + count(*) FILTER (WHERE r.seq > acked.row AND r.item IS NOT NULL)
      + count(*) FILTER (WHERE r.item IS NULL AND r.settled_at IS NULL AND r.seq IS NOT NULL) AS owed,
    count(*) FILTER (WHERE r.kind = 'sample' AND r.settled_at IS NULL) AS sample,
    count(*) FILTER (WHERE r.kind = 'refusal' AND r.settled_at IS NULL) AS refusal,
    count(*) FILTER (WHERE r.item IS NOT NULL AND r.seq > cut.row) AS uncut,
    count(*) FILTER (WHERE r.settled_at IS NOT NULL OR (r.item IS NOT NULL AND r.seq <= acked.row)) AS settled,
    max(coalesce(max(r.seq), 0), cut.row) AS lastRow, cut.row AS cutRow, acked.row AS ackedRow,
    f.last_seq AS lastSeq, f.last_hash AS lastHash, 0 AS forgotAt
  FROM file AS f, acked, cut LEFT JOIN results AS r`

function prepareReads(db: Database.Database) {
  return {
    answered: db.prepare<{ model: string; task: string }, StoredRow>(
      `SELECT ${ROW} FROM results WHERE model = :model AND task = :task AND remembered = 1`,
    ),
    row: db.prepare<{ seq: number }, StoredRow>(`SELECT ${ROW} FROM results WHERE seq = :seq`),
    loose: db.prepare<{ after: number; upTo: number; cutRow: number; limit: number }, StoredRow>(
      `SELECT ${ROW} FROM results
       WHERE seq > :after AND seq <= :upTo AND settled_at IS NULL AND (item IS NULL OR seq > :cutRow) ORDER BY seq LIMIT :limit`,
    ),
    nextBatch: db.prepare<{ after: number; upTo: number }, StoredBatch>(
      'SELECT seq, jws FROM batches WHERE seq > :after AND seq <= :upTo ORDER BY seq LIMIT 1',
    ),
    resultsOf: db.prepare<{ batch: number }, StoredRow>(
      `SELECT ${ROW} FROM results
       WHERE seq BETWEEN (SELECT first_row FROM batches WHERE seq = :batch) AND (SELECT last_row FROM batches WHERE seq = :batch)
         AND item IS NOT NULL
       ORDER BY seq`,
    ),
    uncut: db.prepare<{ after: number; limit: number }, UncutItem>(
      'SELECT seq, origin, item FROM results WHERE seq > :after AND item IS NOT NULL ORDER BY seq LIMIT :limit',
    ),
    origin: db.prepare<{ id: number }, { boot: string; runtime: string }>(
      'SELECT boot, runtime FROM origins WHERE id = :id',
    ),
    origins: db.prepare<[], { id: number; boot: string; runtime: string }>('SELECT id, boot, runtime FROM origins'),
  }
}

function prepareWrites(db: Database.Database) {
  return {
    insert: db.prepare(
      `INSERT INTO results (seq, kind, model, task, payload, bytes, made_at, remembered, origin, item)
       VALUES (:seq, :kind, :model, :task, :payload, :bytes, :at, :remembered, :origin, :item)`,
    ),
    addOrigin: db.prepare<{ id: number; boot: string; runtime: string }>(
      'INSERT INTO origins (id, boot, runtime) VALUES (:id, :boot, :runtime)',
    ),
    addBatch: db.prepare<{ seq: number; first: number; last: number; jws: string; at: number; items: number }>(
      'INSERT INTO batches (seq, first_row, last_row, jws, cut_at, items) VALUES (:seq, :first, :last, :jws, :at, :items)',
    ),
    moveHead: db.prepare<{ seq: number; hash: string }>('UPDATE file SET last_seq = :seq, last_hash = :hash'),
    noteAck: db.prepare<{ at: number; row: number }>(
      'INSERT INTO acks (at, row) VALUES (:at, :row) ON CONFLICT (at) DO UPDATE SET row = excluded.row',
    ),
    dropBatches: db.prepare<{ upTo: number }, Dropped>(
      'DELETE FROM batches WHERE seq <= :upTo RETURNING octet_length(jws) AS bytes, items, last_row AS lastRow',
    ),
    dropAllBatches: db.prepare('DELETE FROM batches'),
    beginChain: db.prepare<{ chain: string; hash: string }>(
      'UPDATE file SET chain = :chain, last_seq = 0, last_hash = :hash',
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
    ackedBefore: db.prepare<{ before: number }, { row: number }>(
      'SELECT coalesce(max(row), 0) AS row FROM acks WHERE at < :before',
    ),
    forgetAcked: db.prepare<{ row: number }, Sized>(
      'DELETE FROM results WHERE seq <= :row AND item IS NOT NULL RETURNING bytes',
    ),
    dropAcks: db.prepare<{ row: number }>('DELETE FROM acks WHERE row < :row'),
    forgetSome: db.prepare<{ count: number; ackedRow: number }, Sized>(
      `DELETE FROM results WHERE seq IN
         (SELECT seq FROM results
          WHERE settled_at IS NOT NULL OR (item IS NOT NULL AND seq <= :ackedRow) ORDER BY seq LIMIT :count)
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
  const counted = db.prepare<[], Totals>(TOTALS)
  /** All of the file is read: at open, and when a new chain begins. */
  function totals(): Totals {
    const found = counted.get()
    if (found === undefined) throw new Error('buffer.db has no file row')
    return found
  }
  return { totals, ...prepareReads(db), ...prepareWrites(db) }
}
export type Statements = ReturnType<typeof prepareStatements>
