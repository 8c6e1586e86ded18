// The JSON that travels on the bus, one zod schema per message with the type of the same name beside it.
import { z } from 'zod'
import { Sha256 } from './packages.ts'
import { Arch } from './software.ts'

const score = z.number()
const Digest = z.string().regex(/^[0-9a-f]{64}$/)

/** Corners x1,y1,x2,y2 as fractions (0..1) of the frame's width and height. */
export const Box = z.tuple([z.number(), z.number(), z.number(), z.number()])
export type Box = z.infer<typeof Box>

export const Prediction = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('classification'),
    labels: z.array(z.object({ label: z.string(), index: z.int(), score })),
  }),
  z.object({
    kind: z.literal('detection'),
    objects: z.array(z.object({ label: z.string(), index: z.int(), score, box: Box })),
  }),
  /** `windows` are consecutive model windows; `segments` the runs of windows above the threshold, times in seconds. */
  z.object({
    kind: z.literal('audio'),
    windowS: z.number(),
    windows: z.array(score),
    segments: z.array(z.object({ label: z.string(), startS: z.number(), endS: z.number(), score })),
  }),
  z.object({ kind: z.literal('series'), score, threshold: z.number(), anomaly: z.boolean() }),
  z.object({
    kind: z.literal('tensor'),
    outputs: z.array(
      z.object({ name: z.string(), type: z.string(), shape: z.array(z.int()), data: z.array(z.number()) }),
    ),
  }),
])
export type Prediction = z.infer<typeof Prediction>

/**
 * Why a frame was refused or failed. `busy`, `expired`, `budget-exhausted`, `no-board` are about the moment; the `bad-*`,
 * `too-large` and `unknown-model` about the request; `timeout`, `crashed`, `model-failed`, `poison` about the run.
 */
export const ERROR_CODES = [
  'busy',
  'expired',
  'too-large',
  'unknown-model',
  'bad-envelope',
  'bad-frame',
  'bad-tensor',
  'timeout',
  'crashed',
  'model-failed',
  'poison',
  'no-board',
  'budget-exhausted',
] as const
export const ErrorCode = z.enum(ERROR_CODES)
export type ErrorCode = z.infer<typeof ErrorCode>

/** Why a frame was dropped: it gets no answer. Heartbeats count them beside the codes of those that were refused. */
export type DropReason =
  /** A newer frame of the same source came while it waited. */
  | 'newer-frame'
  /** A stream frame met a queue full of tasks. */
  | 'queue-full'
  /** A stream frame waited past its deadline. */
  | 'late'
  /** The task is being worked on, or was answered and its answer is sent again. */
  | 'duplicate'
  /** A retained frame: old by definition, and it would come again at every connection. */
  | 'retained'
  /** The board is too hot to work: a live frame cannot wait until it has cooled down. */
  | 'too-hot'
  /** There is no connection, and the outbox holds as much as it may, or the disk takes nothing. */
  | 'outbox-full'
  | 'disk-failing'
  | 'stopping'

export const ResultError = z.object({ code: ErrorCode, message: z.string(), retryAfterMs: z.number().optional() })
export type ResultError = z.infer<typeof ResultError>

const resultHead = {
  /** The task id, or the frame's own id, or one the answering side made. */
  id: z.string(),
  /** `id@version`; only `id` when the model is not known. */
  model: z.string(),
  device: z.string(),
  /** When the answer was made, ISO 8601 UTC. */
  at: z.iso.datetime(),
  /** Milliseconds in the board's queue, in decoding, in the model. */
  ms: z.object({ queue: z.number(), decode: z.number(), infer: z.number() }),
}

export const ResultMessage = z.union([
  z.object({
    ...resultHead,
    /** Joules this inference took, and how that is known. Absent when nothing is known. */
    energy: z.object({ j: z.number(), from: z.enum(['measured', 'estimated']) }).optional(),
    /** By so much the deadline had passed when the run ended: it had been begun in time, and took longer than any before. */
    lateMs: z.number().positive().optional(),
    /** sha256 of the raw output tensors (models/runtime/digest.ts): what an audit compares. */
    digest: Digest,
    result: Prediction,
  }),
  z.object({ ...resultHead, error: ResultError }),
])
export type ResultMessage = z.infer<typeof ResultMessage>

export const StatusMessage = z.enum(['online', 'offline'])
export type StatusMessage = z.infer<typeof StatusMessage>

/** What decides the bits of an answer; it stands in every receipt batch (facts: decoder and kernel class both matter). */
export const Runtime = z.object({
  /** onnxruntime version. */
  ort: z.string(),
  /** The execution provider really used. */
  provider: z.string(),
  /** CPU kernel class, e.g. `x64-vnni`, `x64`, `arm64-dotprod`, `arm64`. */
  cpu: z.string(),
  /** Decoder and its version, e.g. `jpeg-turbo-3.0.1`. */
  decoder: z.string(),
  /** Session flags that change bits, e.g. `x64quantprecision`. */
  flags: z.array(z.string()),
})
export type Runtime = z.infer<typeof Runtime>

/** A model package that this board should serve and does not: on its way here, refused, or waiting to be tried again. */
export const PackageState = z.object({
  id: z.string(),
  version: z.string(),
  state: z.enum(['waiting', 'downloading', 'checking', 'proving', 'refused']),
  /** Of the download, 0..100. */
  percent: z.number().optional(),
  /** Why it is not served, in one sentence. */
  reason: z.string().optional(),
})
export type PackageState = z.infer<typeof PackageState>

/** Which version of the agent a board runs, and how far it is with the one that the console wants (software.ts). */
export const SoftwareState = z.object({
  version: z.string(),
  /** Absent: the version that the Debian package brought. */
  release: Sha256.optional(),
  arch: Arch,
  /** `trial`: the minutes after a switch in which it must show itself well, or the board goes back. */
  state: z.enum(['packaged', 'confirmed', 'trial']),
  /** The highest layout of its outbox that it can read: a version that writes another is none to come back from. */
  outboxReads: z.int().positive().optional(),
  /** Absent where nothing else is wanted than what runs. */
  wanted: z
    .object({
      version: z.string(),
      release: Sha256,
      state: z.enum(['downloading', 'refused', 'switching', 'rolled-back']),
      /** One sentence: why it is refused, what it waits for, why the board went back. */
      reason: z.string().optional(),
      /** Of the bytes, 0..1. */
      done: z.number().min(0).max(1).optional(),
    })
    .optional(),
})
export type SoftwareState = z.infer<typeof SoftwareState>

/** A quantized model beside its unquantized sibling, as `bramble-agent bench` found them on this board. */
export const Comparison = z.object({
  /** Median milliseconds in the model. */
  quantizedMs: z.number(),
  fp32Ms: z.number(),
  /** Frames on which both give the same answer: top label, objects, or verdict. */
  agree: z.int(),
  frames: z.int(),
})
export type Comparison = z.infer<typeof Comparison>

export const InfoMessage = z.object({
  device: z.string(),
  name: z.string(),
  /** New at each process start. */
  boot: z.string(),
  at: z.iso.datetime(),
  version: z.string(),
  board: z.object({ model: z.string(), arch: z.string(), cpus: z.int(), memMiB: z.number() }),
  runtime: Runtime,
  models: z.array(
    z.object({
      id: z.string(),
      version: z.string(),
      digest: Digest,
      task: z.string(),
      /** Where it was measured. */
      besideFp32: Comparison.optional(),
    }),
  ),
  /** Asked for by the configuration, got on this board, and why they differ where they do. */
  provider: z.object({ wanted: z.array(z.string()), used: z.string(), reason: z.string().optional() }).optional(),
  /** How the cores are used, and who chose it. */
  hosts: z
    .object({ processes: z.int(), threads: z.int(), chosenBy: z.enum(['default', 'bench', 'config']) })
    .optional(),
  /** Packages on their way to being served, or refused. */
  packages: z.array(PackageState).optional(),
  software: SoftwareState.optional(),
  /** What the owner should know of the past: an outbox that was set aside, a disk that is read-only. */
  notices: z.array(z.string()).optional(),
  limits: z.object({ payloadBytes: z.int(), queuedFrames: z.int() }),
})
export type InfoMessage = z.infer<typeof InfoMessage>

export const IDLE_REASONS = [
  'no-work',
  'starting',
  'host-restarting',
  /** The CPU cannot run ONNX Runtime, or every model was refused. */
  'no-model',
  'outbox-full',
  'disk-failing',
  /** Paused until the board has cooled down. */
  'too-hot',
  /** Frames come in, and every one was refused or dropped. */
  'all-refused',
  /** Frames wait, and no run has ended. */
  'stuck',
] as const
export const IdleReason = z.enum(IDLE_REASONS)
export type IdleReason = z.infer<typeof IdleReason>

export const VITAL_FLAGS = [
  'under-voltage',
  'frequency-capped',
  'throttled',
  'soft-temperature-limit',
  'slowed',
  'disk-full',
  'disk-read-only',
  'clock-wrong',
] as const
export const VitalFlag = z.enum(VITAL_FLAGS)
export type VitalFlag = z.infer<typeof VitalFlag>

const counter = z.int().nonnegative()

/**
 * On `d/{device}/vitals`, at each connection and every few minutes: what changes slowly or is too long for the heartbeat.
 * Everything the board has no sensor for is absent, never 0.
 */
export const VitalsMessage = z.object({
  at: z.iso.datetime(),
  /** Of the board, not of the agent. */
  boardUpS: z.number().optional(),
  temperatures: z.array(z.object({ zone: z.string(), c: z.number() })),
  /** Flags of the firmware: now, and at any time since the board booted. */
  power: z.object({ now: z.array(VitalFlag), sinceBoot: z.array(VitalFlag) }).optional(),
  /** Electrical power drawn now, by rail, W. */
  rails: z.array(z.object({ rail: z.string(), w: z.number() })).optional(),
  memory: z.object({ totalMiB: z.number(), freeMiB: z.number(), swapUsedMiB: z.number().optional() }),
  disk: z.object({ totalMiB: z.number(), freeMiB: z.number(), readOnly: z.boolean() }).optional(),
  /** An SD card or eMMC: its name, and how much of its life its own counters say is used, 0..100. */
  card: z.object({ name: z.string(), lifeUsedPercent: z.number().optional() }).optional(),
  network: z
    .array(
      z.object({ name: z.string(), up: z.boolean(), mbit: z.number().optional(), signalDbm: z.number().optional() }),
    )
    .optional(),
  load1: z.number().optional(),
  /** This board's clock minus the console's, ms. */
  clockSkewMs: z.number().optional(),
  host: z.object({
    restarts: counter,
    crashes: counter,
    timeouts: counter,
    /** Restarted between runs because it had grown over its ceiling. */
    recycled: counter,
    poisoned: counter,
    /** Models taken out of memory for others, and frames that waited for one to be loaded again. */
    unloads: counter,
    waitedForLoad: counter,
  }),
})
export type VitalsMessage = z.infer<typeof VitalsMessage>

/** On `cmd/{name}/{id}`. A command that comes twice is answered twice, and done once. */
export const CommandMessage = z.object({
  /** Epoch milliseconds after which it must not be done any more. */
  expiresAt: z.int().positive(),
  args: z.record(z.string(), z.unknown()).optional(),
})
export type CommandMessage = z.infer<typeof CommandMessage>

/** On `res/{name}/{id}`. */
export const ReplyMessage = z.union([
  z.object({ ok: z.literal(true), result: z.unknown() }),
  z.object({
    ok: z.literal(false),
    error: z.object({ code: z.enum(['unknown-command', 'bad-arguments', 'expired', 'failed']), message: z.string() }),
  }),
])
export type ReplyMessage = z.infer<typeof ReplyMessage>

export const HeartbeatMessage = z.object({
  at: z.iso.datetime(),
  upS: z.number(),
  /** Frames waiting or running now. */
  queue: z.int(),
  /** Answers per second over the last interval. */
  rate: z.number(),
  /** Totals since boot. */
  in: z.int(),
  answered: z.int(),
  refused: z.int(),
  /** Dropped or refused frames since boot, by reason. */
  drops: z.record(z.string(), z.int()),
  /** Results and receipts not yet acknowledged. */
  outbox: z.int(),
  /** Absent where the board has no such sensor; never 0 for "unknown". */
  tempC: z.number().optional(),
  memMiB: z.number(),
  freeMiB: z.number(),
  /** Joules per inference over the last interval, and whether a sensor or the board's profile says so. Absent when unknown. */
  energy: z.object({ j: z.number(), from: z.enum(['measured', 'estimated']) }).optional(),
  /** What is not as it should be now: `slowed` is the agent's own doing, to keep the board from throttling. */
  flags: z.array(VitalFlag).optional(),
  /** Why no work is running, absent while some is. */
  idle: IdleReason.optional(),
})
export type HeartbeatMessage = z.infer<typeof HeartbeatMessage>

/**
 * Cumulative: every receipt batch of `chain` up to and including `upTo` is stored, and so is every result in it. `forked`: another
 * history is stored under this name, and nothing more is taken of it: the board was set back to an older state, and begins a new chain.
 */
export const AckMessage = z.object({
  chain: z.string(),
  upTo: z.int().nonnegative(),
  forked: z.exactOptional(z.literal(true)),
})
export type AckMessage = z.infer<typeof AckMessage>

/** On `r/{requester}/ack/{task}`: the dispatcher holds the task now; until then the same id may be sent again. */
export const AcceptedMessage = z.object({ task: z.string(), state: z.literal('accepted'), at: z.iso.datetime() })
export type AcceptedMessage = z.infer<typeof AcceptedMessage>
