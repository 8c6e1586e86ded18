// The layout of buffer.db. Append only: an old file is brought forward step by step, a newer one is refused.

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
    jws TEXT NOT NULL,
    cut_at INTEGER NOT NULL
  ) STRICT;

  -- An answer. While settled_at is null it is owed; afterwards it is kept a while to answer a repeated task id.
  CREATE TABLE results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
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
    CHECK (item IS NULL OR (kind = 'task' AND origin IS NOT NULL)),
    CHECK (remembered = 0 OR task IS NOT NULL)
  ) STRICT;
  CREATE UNIQUE INDEX results_remembered ON results (model, task) WHERE remembered = 1;
  CREATE INDEX results_owed ON results (batch, seq) WHERE settled_at IS NULL;
  CREATE INDEX results_uncut ON results (seq) WHERE item IS NOT NULL AND batch IS NULL;
  CREATE INDEX results_settled ON results (settled_at) WHERE settled_at IS NOT NULL;
  CREATE INDEX results_spare ON results (kind, seq) WHERE kind <> 'task' AND settled_at IS NULL;
  `,
]
