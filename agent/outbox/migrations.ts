// The layout of buffer.db. Append only: an old file is brought forward step by step, a newer one is refused.
// Every index costs a page per commit on an SD card, so what can be found by row number has none: rows are numbered in the
// order they were made, batches are cut in that order and name their range.
//
// A board must be able to go back to the version of the agent that it ran before. So a new layout comes in two releases: the first
// can read it and does not write it yet (OUTBOX_READS goes up), the next one writes it (it stands in MIGRATIONS).

export const MIGRATIONS: readonly string[] = [
  `
  -- One row: whose file this is, its receipt chain, and the last link of it.
  CREATE TABLE file (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    device TEXT NOT NULL,
    chain TEXT NOT NULL,
    last_seq INTEGER NOT NULL,
    last_hash TEXT NOT NULL
  ) STRICT;

  -- What a run's receipt must name beside the run: the process and what decides its bits.
  CREATE TABLE origins (
    id INTEGER PRIMARY KEY,
    boot TEXT NOT NULL,
    runtime TEXT NOT NULL,
    UNIQUE (boot, runtime)
  ) STRICT;

  CREATE TABLE batches (
    seq INTEGER PRIMARY KEY,
    first_row INTEGER NOT NULL,
    last_row INTEGER NOT NULL,
    jws TEXT NOT NULL,
    cut_at INTEGER NOT NULL,
    CHECK (first_row <= last_row)
  ) STRICT;

  -- An answer. While settled_at is null it is owed; afterwards it is kept a while to answer a repeated task id.
  CREATE TABLE results (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('task', 'refusal', 'sample')),
    model TEXT NOT NULL,
    task TEXT,
    payload TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    remembered INTEGER NOT NULL CHECK (remembered IN (0, 1)),
    origin INTEGER REFERENCES origins (id),
    item TEXT,
    batch INTEGER REFERENCES batches (seq),
    settled_at INTEGER,
    CHECK ((kind = 'sample') = (task IS NULL)),
    CHECK (item IS NULL OR (kind = 'task' AND origin IS NOT NULL AND settled_at IS NULL)),
    CHECK (batch IS NULL OR item IS NOT NULL),
    CHECK (remembered = 0 OR task IS NOT NULL)
  ) STRICT;
  CREATE UNIQUE INDEX results_remembered ON results (model, task) WHERE remembered = 1;
  CREATE INDEX results_settled ON results (settled_at) WHERE settled_at IS NOT NULL;
  `,
  `
  -- A result is written once: whether it is in a batch, and whether the console has it, follows from its row number.
  -- Before, cutting and settling wrote every result again, which was half of all that went to the card.
  ALTER TABLE batches ADD COLUMN items INTEGER NOT NULL DEFAULT 0;
  UPDATE batches SET items = (SELECT count(*) FROM results WHERE batch = batches.seq);

  -- Up to which row the console had everything, and when it said so.
  CREATE TABLE acks (
    at INTEGER PRIMARY KEY,
    row INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE results_once (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('task', 'refusal', 'sample')),
    model TEXT NOT NULL,
    task TEXT,
    payload TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    remembered INTEGER NOT NULL CHECK (remembered IN (0, 1)),
    origin INTEGER REFERENCES origins (id),
    item TEXT,
    settled_at INTEGER,
    CHECK ((kind = 'sample') = (task IS NULL)),
    CHECK (item IS NULL OR (kind = 'task' AND origin IS NOT NULL AND settled_at IS NULL)),
    CHECK (remembered = 0 OR task IS NOT NULL)
  ) STRICT;
  INSERT INTO results_once
    SELECT seq, kind, model, task, payload, bytes, made_at, remembered, origin, item, settled_at FROM results;
  DROP TABLE results;
  ALTER TABLE results_once RENAME TO results;
  CREATE UNIQUE INDEX results_remembered ON results (model, task) WHERE remembered = 1;
  CREATE INDEX results_settled ON results (settled_at) WHERE settled_at IS NOT NULL;
  `,
  `
  -- Inputs that killed the inference process: by hash, never the frame. Two strikes, and this model runs it no more.
  CREATE TABLE poison (
    model_digest TEXT NOT NULL,
    input TEXT NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    strikes INTEGER NOT NULL CHECK (strikes > 0),
    PRIMARY KEY (model_digest, input)
  ) STRICT, WITHOUT ROWID;
  `,
]

/** Layout of buffer.db that this version writes; it brings an older file there. */
export const OUTBOX_WRITES = MIGRATIONS.length
/** The highest layout that it can read. */
export const OUTBOX_READS = OUTBOX_WRITES
