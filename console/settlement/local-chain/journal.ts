// What makes the local chain durable: every landed transaction, with the moment it ran at, in SQLite. State is a
// function of these rows; snapshots (snapshot.ts) only save the time of running them all again.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { ChainError } from '../chain-error.ts'

const SCHEMA = `
CREATE TABLE IF NOT EXISTS chain (
  id INTEGER PRIMARY KEY CHECK (id = 1), genesis BLOB NOT NULL, started_at INTEGER NOT NULL, slot_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS transactions (
  seq INTEGER PRIMARY KEY, signature TEXT NOT NULL UNIQUE, slot INTEGER NOT NULL, unix_time INTEGER NOT NULL,
  wire BLOB NOT NULL, memo TEXT, err TEXT, meta TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS mentions (
  address TEXT NOT NULL, seq INTEGER NOT NULL REFERENCES transactions(seq), PRIMARY KEY (address, seq)
) STRICT, WITHOUT ROWID;
`

export interface Birth {
  readonly genesis: Uint8Array
  readonly startedAtMs: number
  readonly slotMs: number
}
export interface Landed {
  readonly seq: number
  readonly signature: string
  readonly slot: number
  readonly unixTime: number
  readonly wire: Uint8Array
  readonly memo: string | null
  /** TransactionError as JSON, or null. */
  readonly err: string | null
  /** TransactionMeta (record.ts) as JSON. */
  readonly meta: string
}
export interface HistoryQuery {
  readonly address: string
  readonly limit: number
  readonly newestSlot: number
  readonly beforeSeq: number
  readonly afterSeq: number
}
export interface Journal {
  readonly birth: Birth
  append(entry: Omit<Landed, 'seq'>, mentions: readonly string[]): number
  find(signature: string): Landed | undefined
  after(seq: number): IterableIterator<Landed>
  history(query: HistoryQuery): Landed[]
  last(): { seq: number; slot: number }
  close(): void
}

const COLUMNS = 'seq, signature, slot, unix_time AS unixTime, wire, memo, err, meta'

/** Another process may be just closing it; longer than that it is in use, and somebody waits to be told so. */
const CLOSING_MS = 500

const openFile = (folder: string): Database.Database => {
  try {
    const db = new Database(join(folder, 'chain.db'), { timeout: CLOSING_MS })
    // One process per chain; the lock goes with the process, also at kill -9. FULL: an answered transaction survives
    // a power cut, as the console's own database does, or the two would disagree about who was paid.
    for (const pragma of ['locking_mode = EXCLUSIVE', 'journal_mode = WAL', 'synchronous = FULL']) db.pragma(pragma)
    db.exec(SCHEMA)
    return db
  } catch (cause) {
    const busy = cause instanceof Database.SqliteError && cause.code === 'SQLITE_BUSY'
    throw busy
      ? new ChainError('in-use', `the local chain in ${folder} is in use by another process; stop that one first`, {
          cause,
        })
      : new ChainError('damaged', `the local chain in ${folder} cannot be opened: ${(cause as Error).message}`, {
          cause,
        })
  }
}

const bornIn = (db: Database.Database, fresh: { startedAtMs: number; slotMs: number }): Birth => {
  db.prepare('INSERT INTO chain VALUES (1, @genesis, @startedAtMs, @slotMs) ON CONFLICT DO NOTHING').run({
    ...fresh,
    // Random: a chain in another folder is another chain, and the console must notice.
    genesis: randomBytes(32),
  })
  return db.prepare('SELECT genesis, started_at AS startedAtMs, slot_ms AS slotMs FROM chain').get() as Birth
}

/** Opens or begins the journal in a folder; `fresh` holds for a chain that begins now. */
export function openJournal(folder: string, fresh: { startedAtMs: number; slotMs: number }): Journal {
  const db = openFile(folder)
  const birth = bornIn(db, fresh)
  const insert = db.prepare(
    `INSERT INTO transactions (signature, slot, unix_time, wire, memo, err, meta)
     VALUES (@signature, @slot, @unixTime, @wire, @memo, @err, @meta)`,
  )
  const mention = db.prepare('INSERT INTO mentions VALUES (?, ?)')
  const find = db.prepare(`SELECT ${COLUMNS} FROM transactions WHERE signature = ?`)
  const after = db.prepare(`SELECT ${COLUMNS} FROM transactions WHERE seq > ? ORDER BY seq LIMIT 100`)
  const history = db.prepare(
    `SELECT ${COLUMNS} FROM transactions WHERE seq IN
       (SELECT seq FROM mentions WHERE address = @address AND seq < @beforeSeq AND seq > @afterSeq)
     AND slot <= @newestSlot ORDER BY seq DESC LIMIT @limit`,
  )
  const last = db.prepare('SELECT coalesce(max(seq), 0) AS seq, coalesce(max(slot), 0) AS slot FROM transactions')
  const append = db.transaction((entry: Omit<Landed, 'seq'>, mentions: readonly string[]): number => {
    const seq = Number(insert.run(entry).lastInsertRowid)
    for (const address of mentions) mention.run(address, seq)
    return seq
  })
  return {
    birth,
    append,
    find: (signature) => find.get(signature) as Landed | undefined,
    *after(seq) {
      // By pages: an open cursor would forbid writing, and a whole history may not fit in memory.
      for (let at = seq; ; ) {
        const page = after.all(at) as Landed[]
        yield* page
        const end = page.at(-1)
        if (!end) return
        at = end.seq
      }
    },
    history: (query) => history.all(query) as Landed[],
    last: () => last.get() as { seq: number; slot: number },
    close: () => db.close(),
  }
}
