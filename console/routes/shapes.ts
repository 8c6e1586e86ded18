// What the HTTP API says, as zod schemas: the server documents itself from them and the page takes its types from them.
// Money is a decimal string of integer base units; times are ISO 8601 UTC.
import { z } from '@hono/zod-openapi'
import {
  Comparison,
  HeartbeatMessage,
  IdleReason,
  InfoMessage,
  ResultMessage,
  VitalFlag,
  VitalsMessage,
} from '../../broker/protocol/messages.ts'

export const Units = z.string().regex(/^-?\d+$/)
const At = z.iso.datetime()
const Ref = z.object({ id: z.string(), name: z.string() })

export const ErrorBody = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

/** The one derived state of a board and the sentence that explains it (fleet/presence.ts). */
export const DEVICE_STATES = ['new', 'working', 'idle', 'late', 'offline'] as const
export const DeviceState = z.enum(DEVICE_STATES)

export const Device = z.object({
  ...Ref.shape,
  owner: Ref,
  state: DeviceState,
  /** One sentence: why it is in this state and, where something is wrong, what to do. */
  reason: z.string(),
  /** Of an idle board: why, as a code. */
  idle: IdleReason.optional(),
  clocks: z.object({
    mqtt: z.object({ state: z.enum(['online', 'offline']), at: At }).optional(),
    heartbeatAt: At.optional(),
    resultAt: At.optional(),
  }),
  models: z.array(z.string()),
  rate: z.number(),
  queue: z.int(),
  tempC: z.number().optional(),
  memMiB: z.number().optional(),
  /** What is not as it should be now; empty for a board that is not heard of. */
  flags: z.array(VitalFlag).optional(),
  /** The first of what it wants its owner to know of the past. */
  notice: z.string().optional(),
  energy: HeartbeatMessage.shape.energy,
  /** Present where models do not run on what was wanted, or run beside a GPU that nothing uses. */
  provider: z.object({ wanted: z.string().optional(), used: z.string(), reason: z.string().optional() }).optional(),
  /** Changes when it says anew what it is (birth message) or how it is (vitals): a page that shows them reads them again. */
  told: z.string().optional(),
  /** All that receipts of this board were credited, ever. */
  earned: Units,
})
export type Device = z.infer<typeof Device>

export const TaskView = z.object({
  id: z.string(),
  requestId: z.string(),
  requester: z.string(),
  kind: z.enum(['task', 'frame']),
  model: z.string(),
  state: z.enum(['queued', 'leased', 'done', 'failed', 'expired']),
  device: Ref.optional(),
  attempts: z.int(),
  acceptedAt: At,
  doneAt: At.optional(),
  /** Present once answered. */
  answer: ResultMessage.optional(),
  price: Units,
  /** Whether GET /api/tasks/{id}/frame still has the picture. */
  frame: z.boolean(),
})
export type TaskView = z.infer<typeof TaskView>

export const ReceiptView = z.object({
  id: z.int(),
  device: Ref,
  task: z.string(),
  at: At,
  inferMs: z.number(),
  state: z.enum(['received', 'held', 'credited', 'rejected', 'forfeited']),
  reason: z.string().optional(),
  amount: Units,
  epoch: z.int().optional(),
  outputDigest: z.string(),
})
export type ReceiptView = z.infer<typeof ReceiptView>

export const DeviceDetail = z.object({
  device: Device,
  info: InfoMessage.optional(),
  heartbeat: HeartbeatMessage.optional(),
  vitals: VitalsMessage.optional(),
  /** Heartbeats kept in memory since the console started, oldest first. */
  history: z.array(
    z.object({
      at: At,
      rate: z.number(),
      queue: z.int(),
      memMiB: z.number(),
      tempC: z.number().optional(),
      energy: HeartbeatMessage.shape.energy,
    }),
  ),
  tasks: z.array(TaskView),
  receipts: z.array(ReceiptView),
})
export type DeviceDetail = z.infer<typeof DeviceDetail>

export const Overview = z.object({
  health: z.object({
    level: z.enum(['ok', 'attention', 'problem']),
    sentence: z.string(),
    /** What else is true, and not as bad. */
    more: z.array(z.string()),
  }),
  token: z.object({ symbol: z.string(), decimals: z.int(), mint: z.string() }),
  cluster: z.enum(['local', 'devnet', 'mainnet-beta']),
  devices: z.object({ total: z.int(), working: z.int(), idle: z.int(), late: z.int(), offline: z.int() }),
  /** Answers per second over the last 10 s. */
  inferencesPerS: z.number(),
  tasks: z.object({
    waiting: z.int(),
    answeredToday: z.int(),
    failedToday: z.int(),
    /** Stream frames dropped today because a newer one of the same source came first, and other counted reasons. */
    droppedToday: z.record(z.string(), z.int()),
    /** Accepted but neither waiting nor answered nor refused: 0, or there is a bug. */
    lost: z.int(),
  }),
  money: z.object({ earnedToday: Units, owed: Units, paid: Units }),
  /** One point per 2 s, the last five minutes. */
  history: z.array(z.object({ at: At, perS: z.number() })),
})
export type Overview = z.infer<typeof Overview>

const Licence = z.object({ package: z.string(), weights: z.string(), attribution: z.string().optional() })

/** A version that boards may be told to serve. */
export const ReleaseView = z.object({
  /** sha256 of its signed list of files. */
  digest: z.string(),
  model: z.string(),
  version: z.string(),
  publisher: z.string(),
  /** False once its publisher was revoked: boards refuse it. */
  trusted: z.boolean(),
  publishedAt: At,
  files: z.int(),
  /** Of all its files. */
  bytes: z.int(),
  /** Of the model file. */
  sha256: z.string(),
  modelBytes: z.int(),
  title: z.string(),
  task: z.string(),
  licence: Licence,
  quantization: z.string(),
  determinism: z.string(),
})
export type ReleaseView = z.infer<typeof ReleaseView>

export const MissingFile = z.object({ path: z.string(), sha256: z.string(), bytes: z.int() })

export const PublisherView = z.object({
  id: z.string(),
  /** Raw Ed25519 public key, base64url. */
  key: z.string(),
  addedAt: At,
  revokedAt: At.optional(),
})
export type PublisherView = z.infer<typeof PublisherView>

/** A version of the agent for one architecture. */
export const SoftwareReleaseView = z.object({
  digest: z.string(),
  version: z.string(),
  arch: z.enum(['arm64', 'amd64']),
  publisher: z.string(),
  /** False once its publisher was revoked: no board is told to run it. */
  trusted: z.boolean(),
  publishedAt: At,
  files: z.int(),
  bytes: z.int(),
})
export type SoftwareReleaseView = z.infer<typeof SoftwareReleaseView>

export const RolloutView = z.object({
  version: z.string(),
  state: z.enum(['canary', 'widening', 'done', 'stopped', 'rolled-back']),
  /** Why it stopped. */
  reason: z.string().optional(),
  startedAt: At,
  changedAt: At,
  rings: z.array(
    z.object({
      name: z.string(),
      open: z.boolean(),
      /** How many boards are where. */
      boards: z.object({
        waiting: z.int(),
        downloading: z.int(),
        trial: z.int(),
        confirmed: z.int(),
        refused: z.int(),
        failed: z.int(),
      }),
    }),
  ),
  /** Boards without a release for their architecture, or whose agent cannot update itself. */
  without: z.int(),
})
export type RolloutView = z.infer<typeof RolloutView>

export const SoftwareView = z.object({
  publishers: z.array(PublisherView),
  releases: z.array(SoftwareReleaseView),
  /** The newest. */
  rollout: RolloutView.optional(),
  boards: z.array(
    z.object({
      device: z.object({ id: z.string(), name: z.string() }),
      version: z.string(),
      /** `fixed`: this agent cannot update itself (it runs from its sources, or is too old). */
      state: z.enum(['fixed', 'packaged', 'confirmed', 'trial']),
      ring: z.string().optional(),
      /** Where it is with the rollout. */
      progress: z.string().optional(),
      percent: z.number().optional(),
      reason: z.string().optional(),
    }),
  ),
  history: z.array(z.object({ at: At, version: z.string(), what: z.string() })),
})
export type SoftwareView = z.infer<typeof SoftwareView>

/** What boards should serve. A model that is not named is served from the board's own folder, where it is in there. */
export const DesiredState = z.object({
  models: z.array(
    z.object({
      model: z.string(),
      version: z.string(),
      release: z.string(),
      since: At,
      /** Whose opinion it is. */
      by: z.enum(['fleet', 'board']),
    }),
  ),
})
export type DesiredState = z.infer<typeof DesiredState>

export const DesiredChange = z.object({
  model: z.string(),
  /** Absent: the fleet. */
  device: z.string().optional(),
  /** Versions; null: no opinion. */
  before: z.string().nullable(),
  after: z.string().nullable(),
})
export type DesiredChange = z.infer<typeof DesiredChange>

/** Where a board is on its way to the version it should serve; `asked`: nothing was heard of it yet. */
export const PLACE_STATES = [
  'serving',
  'asked',
  'waiting',
  'downloading',
  'checking',
  'proving',
  'refused',
  'unreachable',
] as const

/** One board and one model. */
export const ModelPlace = z.object({
  device: Ref,
  /** What it serves, as it said last. */
  serves: z.string().optional(),
  /** What it should serve by name. */
  wants: z.string().optional(),
  /** An opinion for this board alone. */
  pinned: z.boolean(),
  /** Present where it should serve something by name. */
  state: z.enum(PLACE_STATES).optional(),
  /** Of the download. */
  percent: z.number().optional(),
  /** Why it waits or refuses. */
  reason: z.string().optional(),
  /** Of what it serves, where this board measured it. */
  besideFp32: Comparison.optional(),
})
export type ModelPlace = z.infer<typeof ModelPlace>

export const ModelVersion = z.object({
  version: z.string(),
  sha256: z.string(),
  /** Of the model file. */
  bytes: z.int(),
  licence: Licence,
  quantization: z.string(),
  determinism: z.string(),
  /** Boards online that serve it. */
  boards: z.int(),
  /** Absent for what only lies in the console's own folder: boards cannot be told to serve it. */
  release: ReleaseView.optional(),
})
export type ModelVersion = z.infer<typeof ModelVersion>

export const ModelView = z.object({
  id: z.string(),
  /** The version the fleet should serve; the highest there is where none is set. */
  version: z.string(),
  title: z.string(),
  task: z.string(),
  sha256: z.string(),
  bytes: z.int(),
  licence: z.string(),
  price: Units,
  /** Boards online that serve it, in whatever version. */
  boards: z.int(),
  /** The highest first. */
  versions: z.array(ModelVersion),
  /** What the whole fleet should serve; absent: boards serve what is in their own folders. */
  desired: z.object({ version: z.string(), since: At }).optional(),
  /** Where a rollback goes, null being no opinion; absent where nothing was ever set. */
  before: z.object({ version: z.string().nullable() }).optional(),
  /** Boards that serve it or should. */
  places: z.array(ModelPlace),
  /** How far the boards are, in one sentence. */
  sentence: z.string(),
})
export type ModelView = z.infer<typeof ModelView>

/** One line of a batch: what one payee gets in one transaction. */
export const PayoutView = z.object({
  id: z.string(),
  /** The batch it is paid in; all payouts of a batch share state, memo and signature. */
  batch: z.string(),
  epoch: z.int(),
  /** Whom it is for; the id of a requester or publisher begins with `requester/` or `publisher/`. */
  owner: Ref,
  wallet: z.string(),
  amount: Units,
  /** Paid by the operator for the wallet's new token account; 0 where it had one. */
  rentLamports: z.int(),
  state: z.enum(['planned', 'signed', 'sent', 'confirmed', 'expired', 'finalized', 'failed']),
  signature: z.string().optional(),
  memo: z.string(),
  attempts: z.int(),
  createdAt: At,
  updatedAt: At,
  failure: z.string().optional(),
  /** When it was found on the chain and not in this database, which came from a backup. */
  adoptedAt: At.optional(),
})
export type PayoutView = z.infer<typeof PayoutView>

export const EpochView = z.object({
  id: z.int(),
  openedAt: At,
  closedAt: At.optional(),
  receipts: z.int(),
  amount: Units,
  payouts: z.array(PayoutView),
})
export type EpochView = z.infer<typeof EpochView>

export const Rewards = z.object({
  token: z.object({ symbol: z.string(), decimals: z.int(), mint: z.string() }),
  cluster: z.enum(['local', 'devnet', 'mainnet-beta']),
  owners: z.array(
    z.object({
      ...Ref.shape,
      wallet: z.string().optional(),
      /** Tokens the wallet holds on chain, when it could be read. */
      walletBalance: Units.optional(),
      boards: z.int(),
      pending: Units,
      payable: Units,
      /** Why what is payable is not paid out. */
      held: z.string().optional(),
      inPayout: Units,
      paid: Units,
    }),
  ),
  requesters: z.array(z.object({ ...Ref.shape, budget: Units, reserved: Units })),
  operatorFees: Units,
  royalties: Units,
  treasury: z.object({
    address: z.string(),
    balance: Units.optional(),
    liabilities: Units,
    /** balance / liabilities; absent when nothing is owed or the chain did not answer. */
    coverage: z.number().optional(),
  }),
  /** Newest first; the open one leads. */
  epochs: z.array(EpochView),
  /** Why money waits, one sentence each; empty when nothing does. */
  troubles: z.array(z.string()),
})
export type Rewards = z.infer<typeof Rewards>

/** A payee that will be paid elsewhere, and whose present wallet did not agree. */
export const WalletChangeView = z.object({
  id: z.int(),
  payee: z.string(),
  address: z.string(),
  askedAt: At,
  effectiveAt: At,
})
export type WalletChangeView = z.infer<typeof WalletChangeView>

/** What a payee had, what came and went, what it has (rewards/statement.ts). */
export const StatementView = z.object({
  payee: z.string(),
  token: z.object({ symbol: z.string(), decimals: z.int() }),
  from: At,
  to: At,
  opening: Units,
  lines: z.array(
    z.object({ at: At, what: z.string(), ref: z.string(), count: z.int(), amount: Units, balance: Units }),
  ),
  closing: Units,
})
export type StatementView = z.infer<typeof StatementView>

export const LedgerCheck = z.object({
  ok: z.boolean(),
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })),
})
export type LedgerCheck = z.infer<typeof LedgerCheck>

export const EnrollmentRequest = z.object({
  owner: z.string().optional().openapi({ description: 'Owner id; the first owner when absent.' }),
  label: z.string().max(64).default('board'),
  uses: z.int().min(1).max(10_000).default(1),
  expiresInS: z
    .int()
    .min(60)
    .max(30 * 86_400)
    .default(3600),
})

export const Enrollment = z.object({
  token: z.string(),
  expiresAt: At,
  /** Where boards reach this console. */
  console: z.string(),
  /** The line to run on the board. */
  command: z.string(),
})

/** A publisher, of models or of software, that is to be let in. */
export const NewPublisher = z.object({
  id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ -'),
  key: z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'must be a public key, the 43 characters that keygen printed'),
})

/** What a board sends to POST /enroll. `proof` is the Ed25519 signature over `bramble-enroll:{token}`, base64url. */
export const BoardEnrolment = z.object({
  token: z.string().min(1).max(128),
  publicKey: z.string().length(43),
  proof: z.string().length(86),
  /** What its owner calls it; else it gets three words. */
  name: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i, 'must be 1 to 63 letters a to z, digits and hyphens, as porch-2')
    .optional(),
})
export type BoardEnrolment = z.infer<typeof BoardEnrolment>

export const BoardCredential = z.object({
  device: z.string(),
  name: z.string(),
  /** ES256 JWT: the MQTT password. */
  credential: z.string(),
  expiresAt: At,
  mqtt: z.object({ url: z.string(), root: z.string() }),
})
export type BoardCredential = z.infer<typeof BoardCredential>

/** POST /enroll/renew: `challenge` from GET /enroll/challenge, `proof` signs `bramble-renew:{device}:{challenge}`. */
export const BoardRenewal = z.object({ device: z.string(), challenge: z.string(), proof: z.string().length(86) })

/** Server-sent events on GET /api/events: the `event:` name and its JSON `data:`. */
export const EVENTS = {
  overview: Overview,
  device: Device,
  task: TaskView,
  payout: PayoutView,
  /** Money moved; the Earnings page asks again. */
  rewards: z.object({ at: At }),
  /** Which changes of wallet wait, whenever one is asked for, stopped or made. */
  wallets: z.object({ waiting: z.array(WalletChangeView) }),
} as const
export type ConsoleEvent = {
  [K in keyof typeof EVENTS]: { event: K; data: z.infer<(typeof EVENTS)[K]> }
}[keyof typeof EVENTS]
