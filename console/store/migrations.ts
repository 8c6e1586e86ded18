// Append only: a shipped step is never edited. The SQL stays in the subset that SQLite and PostgreSQL share, but for STRICT.
const quoted = (states: readonly string[]): string => states.map((state) => `'${state}'`).join(', ')

export const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE owners (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, wallet TEXT, created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE devices (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, owner_id TEXT NOT NULL REFERENCES owners(id),
  public_key TEXT NOT NULL UNIQUE, enrolled_at INTEGER NOT NULL, removed_at INTEGER,
  info TEXT, heartbeat TEXT,
  mqtt_state TEXT CHECK (mqtt_state IN ('online', 'offline')), mqtt_at INTEGER, heartbeat_at INTEGER, result_at INTEGER
) STRICT;

CREATE TABLE enrollment_tokens (
  id TEXT PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE, owner_id TEXT NOT NULL REFERENCES owners(id),
  label TEXT NOT NULL, uses_left INTEGER NOT NULL CHECK (uses_left >= 0), expires_at INTEGER NOT NULL, created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE requesters (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, key_hash TEXT NOT NULL UNIQUE,
  owner_id TEXT REFERENCES owners(id), created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE prices (
  model TEXT PRIMARY KEY, price_units INTEGER NOT NULL CHECK (price_units >= 0), publisher TEXT NOT NULL
) STRICT;

CREATE TABLE tasks (
  id TEXT PRIMARY KEY, requester_id TEXT NOT NULL REFERENCES requesters(id), request_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('task', 'frame')), model TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN (${quoted(['queued', 'leased', 'done', 'failed', 'expired'])})),
  content_type TEXT NOT NULL, bytes INTEGER NOT NULL, input_sha256 TEXT NOT NULL, frame_id TEXT,
  deadline_at INTEGER NOT NULL, accepted_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  device_id TEXT, leased_at INTEGER, lease_until INTEGER, done_at INTEGER,
  result TEXT, output_digest TEXT, error_code TEXT,
  price_units INTEGER NOT NULL CHECK (price_units >= 0), answered_at INTEGER, settled_at INTEGER,
  UNIQUE (requester_id, request_id)
) STRICT;
-- Apart from tasks, so that a move of a task does not rewrite a picture.
CREATE TABLE task_payloads (task_id TEXT PRIMARY KEY REFERENCES tasks(id), data BLOB NOT NULL) STRICT;
CREATE INDEX tasks_open ON tasks (state, accepted_at) WHERE state IN ('queued', 'leased');
CREATE INDEX tasks_unanswered ON tasks (done_at) WHERE answered_at IS NULL AND done_at IS NOT NULL;
CREATE INDEX tasks_unsettled ON tasks (done_at) WHERE settled_at IS NULL AND done_at IS NOT NULL;
CREATE INDEX tasks_device ON tasks (device_id, done_at);
CREATE INDEX tasks_done ON tasks (done_at);

CREATE TABLE receipt_batches (
  device_id TEXT NOT NULL REFERENCES devices(id), chain TEXT NOT NULL, seq INTEGER NOT NULL CHECK (seq > 0),
  hash TEXT NOT NULL, prev TEXT NOT NULL, jws TEXT NOT NULL, received_at INTEGER NOT NULL,
  PRIMARY KEY (device_id, chain, seq)
) STRICT;

CREATE TABLE receipts (
  id INTEGER PRIMARY KEY, device_id TEXT NOT NULL REFERENCES devices(id), chain TEXT NOT NULL, seq INTEGER NOT NULL,
  idx INTEGER NOT NULL, task_id TEXT NOT NULL, model_digest TEXT NOT NULL, input_sha256 TEXT NOT NULL,
  output_digest TEXT NOT NULL, at INTEGER NOT NULL, infer_ms REAL NOT NULL,
  state TEXT NOT NULL CHECK (state IN (${quoted(['received', 'held', 'credited', 'rejected', 'forfeited'])})),
  reason TEXT, amount_units INTEGER NOT NULL CHECK (amount_units >= 0), owner_id TEXT NOT NULL REFERENCES owners(id),
  received_at INTEGER NOT NULL, release_at INTEGER NOT NULL, epoch_id INTEGER REFERENCES epochs(id),
  UNIQUE (device_id, chain, seq, idx)
) STRICT;
-- The last line of defence: whatever the code does, one task pays one receipt.
CREATE UNIQUE INDEX receipts_paid_once ON receipts (task_id) WHERE state = 'credited' AND amount_units > 0;
CREATE INDEX receipts_maturing ON receipts (release_at) WHERE state = 'credited' AND epoch_id IS NULL;
CREATE INDEX receipts_epoch ON receipts (epoch_id);
CREATE INDEX receipts_device ON receipts (device_id, id);
CREATE INDEX receipts_task ON receipts (task_id);

CREATE TABLE accounts (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, balance_units INTEGER NOT NULL,
  CHECK (balance_units >= 0 OR kind = 'outside')
) STRICT;

CREATE TABLE transfers (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, ref TEXT NOT NULL,
  from_account TEXT NOT NULL REFERENCES accounts(id), to_account TEXT NOT NULL REFERENCES accounts(id),
  amount_units INTEGER NOT NULL CHECK (amount_units > 0), CHECK (from_account <> to_account),
  UNIQUE (kind, ref, to_account)
) STRICT;
CREATE INDEX transfers_ref ON transfers (ref);

CREATE TABLE epochs (id INTEGER PRIMARY KEY, opened_at INTEGER NOT NULL, closed_at INTEGER) STRICT;
CREATE UNIQUE INDEX epochs_one_open ON epochs ((closed_at IS NULL)) WHERE closed_at IS NULL;

CREATE TABLE payouts (
  id TEXT PRIMARY KEY, epoch_id INTEGER NOT NULL REFERENCES epochs(id), owner_id TEXT NOT NULL REFERENCES owners(id),
  wallet TEXT NOT NULL, amount_units INTEGER NOT NULL CHECK (amount_units > 0),
  state TEXT NOT NULL CHECK (state IN (${quoted(['planned', 'signed', 'sent', 'confirmed', 'expired', 'finalized', 'failed'])})),
  memo TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, failure TEXT
) STRICT;
CREATE INDEX payouts_open ON payouts (state) WHERE state NOT IN ('finalized', 'failed');

CREATE TABLE payout_attempts (
  payout_id TEXT NOT NULL REFERENCES payouts(id), attempt INTEGER NOT NULL, signature TEXT NOT NULL UNIQUE,
  wire BLOB NOT NULL, blockhash TEXT NOT NULL, last_valid_block_height INTEGER NOT NULL, signed_at INTEGER NOT NULL,
  PRIMARY KEY (payout_id, attempt)
) STRICT;

CREATE TABLE writer_leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL) STRICT;
`,
  `
-- Model packages: who may sign them, what was signed, and what boards should serve.
CREATE TABLE publishers (
  id TEXT PRIMARY KEY, public_key TEXT NOT NULL, added_at INTEGER NOT NULL, revoked_at INTEGER
) STRICT;

CREATE TABLE releases (
  digest TEXT PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, publisher_id TEXT NOT NULL REFERENCES publishers(id),
  jws TEXT NOT NULL, summary TEXT NOT NULL, published_at INTEGER NOT NULL,
  UNIQUE (model, version)
) STRICT;

CREATE TABLE desired_models (
  scope TEXT NOT NULL, model TEXT NOT NULL, release_digest TEXT NOT NULL REFERENCES releases(digest), since INTEGER NOT NULL,
  PRIMARY KEY (scope, model)
) STRICT;

-- Each change of what is desired, null standing for no opinion; its id is the revision that boards are told.
CREATE TABLE desired_changes (
  id INTEGER PRIMARY KEY, scope TEXT NOT NULL, model TEXT NOT NULL,
  before_digest TEXT REFERENCES releases(digest), after_digest TEXT REFERENCES releases(digest), at INTEGER NOT NULL
) STRICT;
CREATE INDEX desired_changes_scope ON desired_changes (scope, model, id);
`,
  `
-- The last vitals that a board told, beside its last birth message and heartbeat.
ALTER TABLE devices ADD COLUMN vitals TEXT;
`,
  `
-- Payouts in batches: a batch is one transaction and has the lifecycle, a payout is one line of it. What was paid before
-- becomes a batch of one line.
CREATE TABLE payout_batches (
  id TEXT PRIMARY KEY, epoch_id INTEGER NOT NULL REFERENCES epochs(id),
  state TEXT NOT NULL CHECK (state IN (${quoted(['planned', 'signed', 'sent', 'confirmed', 'expired', 'finalized', 'failed'])})),
  memo TEXT NOT NULL UNIQUE, marker TEXT UNIQUE, marker_lamports INTEGER NOT NULL DEFAULT 0, reclaimed_at INTEGER,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, failure TEXT, adopted_at INTEGER,
  -- 1: it failed by something in it, so that its payees are next paid alone.
  faulty INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO payout_batches (id, epoch_id, state, memo, created_at, updated_at, failure)
  SELECT id, epoch_id, state, memo, created_at, updated_at, failure FROM payouts;
CREATE INDEX payout_batches_open ON payout_batches (state) WHERE state NOT IN ('finalized', 'failed');
CREATE INDEX payout_batches_created ON payout_batches (created_at);
CREATE INDEX payout_batches_epoch ON payout_batches (epoch_id);

CREATE TABLE payout_lines (
  id TEXT PRIMARY KEY, batch_id TEXT NOT NULL REFERENCES payout_batches(id), payee TEXT NOT NULL,
  wallet TEXT NOT NULL, amount_units INTEGER NOT NULL CHECK (amount_units > 0),
  rent_lamports INTEGER NOT NULL DEFAULT 0, UNIQUE (batch_id, payee)
) STRICT;
INSERT INTO payout_lines (id, batch_id, payee, wallet, amount_units) SELECT id, id, owner_id, wallet, amount_units FROM payouts;

CREATE TABLE batch_attempts (
  batch_id TEXT NOT NULL REFERENCES payout_batches(id), attempt INTEGER NOT NULL, signature TEXT NOT NULL UNIQUE,
  wire BLOB NOT NULL, blockhash TEXT NOT NULL, last_valid_block_height INTEGER NOT NULL, signed_at INTEGER NOT NULL,
  PRIMARY KEY (batch_id, attempt)
) STRICT;
INSERT INTO batch_attempts SELECT * FROM payout_attempts;
DROP TABLE payout_attempts;
DROP TABLE payouts;
ALTER TABLE payout_lines RENAME TO payouts;
ALTER TABLE batch_attempts RENAME TO payout_attempts;
CREATE INDEX payouts_batch ON payouts (batch_id);
CREATE INDEX payouts_payee ON payouts (payee);

-- What a closed epoch commits to: the Merkle root over its receipts, and the hash chain over all roots so far.
ALTER TABLE epochs ADD COLUMN root TEXT;
ALTER TABLE epochs ADD COLUMN head TEXT;
ALTER TABLE epochs ADD COLUMN leaves INTEGER;

-- Where payees (owners, requesters, publishers) are paid, and what must still wait before that changes.
CREATE TABLE wallets (
  payee TEXT PRIMARY KEY, address TEXT NOT NULL, since INTEGER NOT NULL,
  -- How it came to be: the sign-in text and its signature as JSON, or 'operator'.
  proof TEXT NOT NULL
) STRICT;
INSERT INTO wallets (payee, address, since, proof)
  SELECT id, wallet, created_at, 'operator' FROM owners WHERE wallet IS NOT NULL;
ALTER TABLE owners DROP COLUMN wallet;

CREATE TABLE wallet_changes (
  id INTEGER PRIMARY KEY, payee TEXT NOT NULL, address TEXT NOT NULL, proof TEXT NOT NULL,
  asked_at INTEGER NOT NULL, effective_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'cancelled'))
) STRICT;
CREATE UNIQUE INDEX wallet_changes_one_waiting ON wallet_changes (payee) WHERE state = 'waiting';

-- Where requesters pay in, how far the chain was read there, and what came.
CREATE TABLE deposit_addresses (
  requester_id TEXT PRIMARY KEY REFERENCES requesters(id), wallet TEXT NOT NULL UNIQUE, account TEXT NOT NULL UNIQUE,
  read_up_to TEXT, read_at INTEGER
) STRICT;
CREATE TABLE deposits (
  signature TEXT NOT NULL, account TEXT NOT NULL, requester_id TEXT NOT NULL REFERENCES requesters(id),
  mint TEXT NOT NULL, amount_units INTEGER NOT NULL CHECK (amount_units > 0), slot INTEGER NOT NULL, at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('credited', 'dust', 'foreign')), seen_at INTEGER NOT NULL,
  PRIMARY KEY (signature, account)
) STRICT;
CREATE INDEX deposits_requester ON deposits (requester_id, at);

-- The light way to pay: an allowance on the requester's own token account, drawn into its deposit address.
CREATE TABLE allowances (
  requester_id TEXT PRIMARY KEY REFERENCES requesters(id), account TEXT NOT NULL,
  below_units INTEGER NOT NULL CHECK (below_units > 0), draw_units INTEGER NOT NULL CHECK (draw_units > 0),
  state TEXT NOT NULL CHECK (state IN ('good', 'revoked', 'spent', 'empty')),
  left_units INTEGER NOT NULL DEFAULT 0, seen_at INTEGER NOT NULL
) STRICT;
`,
  `
-- Versions of the agent itself. Their publishers are others than those of models, and boards do not take their keys from here.
CREATE TABLE software_publishers (
  id TEXT PRIMARY KEY, public_key TEXT NOT NULL, added_at INTEGER NOT NULL, revoked_at INTEGER
) STRICT;
CREATE TABLE software_releases (
  digest TEXT PRIMARY KEY, version TEXT NOT NULL, arch TEXT NOT NULL CHECK (arch IN ('arm64', 'amd64')),
  publisher_id TEXT NOT NULL REFERENCES software_publishers(id), jws TEXT NOT NULL, published_at INTEGER NOT NULL,
  UNIQUE (version, arch)
) STRICT;

-- One version on its way to the fleet; at most one at a time.
CREATE TABLE software_rollouts (
  id INTEGER PRIMARY KEY, version TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('canary', 'widening', 'done', 'stopped', 'rolled-back')),
  -- Rings 0 to this one are open.
  ring INTEGER NOT NULL, canaries TEXT NOT NULL, reason TEXT, started_at INTEGER NOT NULL, changed_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX software_rollouts_one_active ON software_rollouts ((1)) WHERE state IN ('canary', 'widening');
CREATE TABLE software_tries (
  rollout_id INTEGER NOT NULL REFERENCES software_rollouts(id), device_id TEXT NOT NULL REFERENCES devices(id),
  state TEXT NOT NULL CHECK (state IN ('downloading', 'switching', 'trial', 'confirmed', 'refused', 'failed')),
  reason TEXT, since INTEGER NOT NULL, PRIMARY KEY (rollout_id, device_id)
) STRICT;
CREATE TABLE software_events (
  id INTEGER PRIMARY KEY, rollout_id INTEGER NOT NULL REFERENCES software_rollouts(id), at INTEGER NOT NULL, what TEXT NOT NULL
) STRICT;
`,
  `
-- Address lookup tables: which the treasury has made, or will, and what stands in them at which index.
CREATE TABLE lookup_tables (
  id INTEGER PRIMARY KEY, address TEXT UNIQUE,
  state TEXT NOT NULL CHECK (state IN (${quoted(['growing', 'leaving', 'closed'])})),
  seen INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL DEFAULT 0, sent_until INTEGER NOT NULL DEFAULT 0,
  why TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE lookup_accounts (
  table_id INTEGER NOT NULL REFERENCES lookup_tables(id), idx INTEGER NOT NULL CHECK (idx BETWEEN 0 AND 255),
  wallet TEXT NOT NULL, account TEXT NOT NULL, PRIMARY KEY (table_id, idx)
) STRICT;

-- What a requester asked for under a name of its own is done once, however often it asks.
CREATE TABLE withdrawals (
  requester_id TEXT NOT NULL REFERENCES requesters(id), request_id TEXT NOT NULL,
  batch_id TEXT NOT NULL REFERENCES payout_batches(id),
  amount_units INTEGER NOT NULL CHECK (amount_units > 0), at INTEGER NOT NULL,
  PRIMARY KEY (requester_id, request_id)
) STRICT;
`,
]
