// The console's tables as Kysely sees them. Columns ending in `_units` are money in integer base units and arrive as
// bigint; every other integer arrives as number (store/integers.ts). Times are epoch milliseconds.
import type { Generated } from 'kysely'
import type { PayoutState, ReceiptState, RolloutState, TableState, TaskState, TryState } from './states.ts'

export interface Database {
  meta: { key: string; value: string }
  owners: { id: string; name: string; created_at: number }
  devices: {
    id: string
    name: string
    owner_id: string
    /** 32 raw bytes, base64url. */
    public_key: string
    enrolled_at: number
    removed_at: number | null
    /** Last InfoMessage, HeartbeatMessage and VitalsMessage as JSON. */
    info: string | null
    heartbeat: string | null
    vitals: string | null
    /** The three clocks. */
    mqtt_state: 'online' | 'offline' | null
    mqtt_at: number | null
    heartbeat_at: number | null
    result_at: number | null
  }
  enrollment_tokens: {
    id: string
    token_hash: string
    owner_id: string
    label: string
    uses_left: number
    expires_at: number
    created_at: number
  }
  requesters: {
    id: string
    name: string
    /** sha256 of the API key, hex. The key has 256 random bits, so a plain hash is enough. */
    key_hash: string
    /** Set for an owner's own pipeline: it may then feed that owner's boards directly. */
    owner_id: string | null
    created_at: number
  }
  prices: { model: string; price_units: bigint; publisher: string }
  tasks: {
    /** ULID: the task id boards see. */
    id: string
    requester_id: string
    /** The requester's own task id; for a stream frame one made by the dispatcher. */
    request_id: string
    kind: 'task' | 'frame'
    /** Model id as asked for. */
    model: string
    state: TaskState
    content_type: string
    bytes: number
    input_sha256: string
    /** The sender's own id of a stream frame, echoed in its answer. */
    frame_id: string | null
    deadline_at: number
    accepted_at: number
    attempts: number
    /** The board that holds, or held last, the lease. */
    device_id: string | null
    leased_at: number | null
    lease_until: number | null
    done_at: number | null
    /** The answer (ResultMessage JSON) as published to the requester. */
    result: string | null
    output_digest: string | null
    error_code: string | null
    price_units: bigint
    /** Null until the answer was handed to the requester's topic. */
    answered_at: number | null
    /** When the reserved price was paid out by a receipt or released; null while it is still reserved. */
    settled_at: number | null
  }
  /** The frame's bytes, until the task ends; the byte cap counts these. */
  task_payloads: { task_id: string; data: Uint8Array }
  receipt_batches: {
    device_id: string
    chain: string
    seq: number
    hash: string
    prev: string
    jws: string
    received_at: number
  }
  receipts: {
    id: Generated<number>
    device_id: string
    chain: string
    seq: number
    /** Place within the batch. */
    idx: number
    task_id: string
    model_digest: string
    input_sha256: string
    output_digest: string
    at: number
    infer_ms: number
    state: ReceiptState
    /** Why held, rejected, forfeited, or credited with nothing. */
    reason: string | null
    /** Credited to the owner, after fee and royalty. */
    amount_units: bigint
    owner_id: string
    received_at: number
    /** End of the hold: pending becomes payable at the first epoch close after it. */
    release_at: number
    /** The epoch whose close made it payable. */
    epoch_id: number | null
  }
  accounts: { id: string; kind: string; balance_units: bigint }
  transfers: {
    id: Generated<number>
    at: number
    /** deposit, reserve, release, earn, fee, royalty, mature, payout, paid, payout-failed, … */
    kind: string
    /** What it is about: a task, receipt or payout id. UNIQUE(kind, ref, to_account). */
    ref: string
    from_account: string
    to_account: string
    amount_units: bigint
  }
  epochs: {
    id: Generated<number>
    opened_at: number
    closed_at: number | null
    /** Of a closed epoch, hex: the Merkle root over its receipts, and the hash chain over all roots so far. */
    root: string | null
    head: string | null
    leaves: number | null
  }
  /** One transaction each. */
  payout_batches: {
    id: string
    epoch_id: number
    state: PayoutState
    /** Unique text in the transaction. */
    memo: string
    /** Address of the account that the transaction makes and that can exist once only; null before there were any. */
    marker: string | null
    marker_lamports: number
    /** When the marker's rent was taken back. */
    reclaimed_at: number | null
    created_at: number
    updated_at: number
    /** A person-readable reason, for `failed`. */
    failure: string | null
    /** When it was found on the chain and not here: this database came from a backup. */
    adopted_at: number | null
    /** 1: it failed by something in it, so that its payees are next paid alone. */
    faulty: Generated<number>
  }
  /** The lines of a batch: one per payee. */
  payouts: {
    id: string
    batch_id: string
    /** Owner id, `requester/{id}` or `publisher/{id}` (rewards/payees.ts). */
    payee: string
    wallet: string
    amount_units: bigint
    /** Paid by the treasury for the wallet's new token account; 0 where it had one. */
    rent_lamports: number
  }
  payout_attempts: {
    batch_id: string
    attempt: number
    signature: string
    wire: Uint8Array
    blockhash: string
    last_valid_block_height: number
    signed_at: number
  }
  /** Address lookup tables of the treasury (settlement/tables): what the chain says of them counts, not these rows alone. */
  lookup_tables: {
    id: Generated<number>
    /** Null until its first transaction is signed. */
    address: string | null
    state: TableState
    /** Of its accounts, how many were seen on the chain, and how many there will be once what was sent has landed. */
    seen: number
    sent: number
    /** Block height up to which what was sent last can land. */
    sent_until: number
    /** Why it was given up. */
    why: string | null
    created_at: number
    updated_at: number
  }
  /** What a requester named when it asked; the same name is the same withdrawal. */
  withdrawals: {
    requester_id: string
    request_id: string
    batch_id: string
    amount_units: bigint
    at: number
  }
  lookup_accounts: { table_id: number; idx: number; wallet: string; account: string }
  wallets: { payee: string; address: string; since: number; proof: string }
  wallet_changes: {
    id: Generated<number>
    payee: string
    address: string
    proof: string
    asked_at: number
    effective_at: number
    state: 'waiting' | 'done' | 'cancelled'
  }
  deposit_addresses: {
    requester_id: string
    wallet: string
    /** Its token account of the configured mint. */
    account: string
    /** Signature up to which the chain was read there. */
    read_up_to: string | null
    read_at: number | null
  }
  deposits: {
    signature: string
    account: string
    requester_id: string
    mint: string
    amount_units: bigint
    slot: number
    at: number
    state: 'credited' | 'dust' | 'foreign'
    seen_at: number
  }
  allowances: {
    requester_id: string
    account: string
    /** Drawn when the budget falls below this. */
    below_units: bigint
    draw_units: bigint
    state: 'good' | 'revoked' | 'spent' | 'empty'
    left_units: bigint
    seen_at: number
  }
  publishers: {
    id: string
    /** 32 raw bytes of an Ed25519 key, base64url. */
    public_key: string
    added_at: number
    /** From then on nothing of this publisher is served any more. */
    revoked_at: number | null
  }
  releases: {
    /** sha256 of the JWS. */
    digest: string
    model: string
    version: string
    publisher_id: string
    jws: string
    /** What its model.json says of it (registry/shelf.ts), as JSON. */
    summary: string
    published_at: number
  }
  /** `scope` is `fleet` or a device id. No row: no opinion. */
  desired_models: { scope: string; model: string; release_digest: string; since: number }
  desired_changes: {
    id: Generated<number>
    scope: string
    model: string
    before_digest: string | null
    after_digest: string | null
    at: number
  }
  software_publishers: Database['publishers']
  software_releases: {
    /** sha256 of the JWS. */
    digest: string
    version: string
    arch: 'arm64' | 'amd64'
    publisher_id: string
    jws: string
    published_at: number
  }
  software_rollouts: {
    id: Generated<number>
    version: string
    state: RolloutState
    ring: number
    /** Device ids of the first ring, as JSON. */
    canaries: string
    reason: string | null
    started_at: number
    changed_at: number
  }
  software_tries: { rollout_id: number; device_id: string; state: TryState; reason: string | null; since: number }
  software_events: { id: Generated<number>; rollout_id: number; at: number; what: string }
  /** One writer: who may sign and send payouts now. */
  writer_leases: { name: string; holder: string; until: number }
}
