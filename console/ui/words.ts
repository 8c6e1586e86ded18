// The console's codes in plain words: what it means and, where something can be done, what to do.
import type {
  Comparison,
  DropReason,
  ErrorCode,
  HeartbeatMessage,
  IdleReason,
  VitalFlag,
} from '../../broker/protocol/messages.ts'
import type { Device, DeviceDetail, ModelPlace, PayoutView, ReceiptView, TaskView } from '../routes/shapes.ts'
import { formatCount, formatMs } from './quantities.ts'

export type Tone = 'ok' | 'busy' | 'warn' | 'bad' | 'calm'

export const ERROR_WORDS: Readonly<Record<ErrorCode, string>> = {
  busy: 'The board was full',
  expired: 'The deadline passed before a board was free',
  'too-large': 'The frame is larger than the limit',
  'unknown-model': 'No board has this model',
  'bad-envelope': 'The CBOR map could not be read',
  'bad-frame': 'The frame could not be decoded',
  'bad-tensor': 'The tensor has the wrong shape',
  timeout: 'The run took too long and was stopped',
  crashed: 'The model process crashed and was restarted',
  'model-failed': 'The model failed on this frame',
  poison: 'This frame crashed several boards and is not tried again',
  'no-board': 'No board could take it',
  'budget-exhausted': 'The requester has no budget left',
}

export const DEVICE_WORDS: Readonly<Record<Device['state'], { label: string; tone: Tone }>> = {
  new: { label: 'New', tone: 'calm' },
  working: { label: 'Working', tone: 'ok' },
  idle: { label: 'Idle', tone: 'busy' },
  late: { label: 'Late', tone: 'warn' },
  offline: { label: 'Offline', tone: 'bad' },
}

const WAITS: ReadonlySet<IdleReason> = new Set(['no-work', 'starting'])

const HINDERED = { label: 'Hindered', tone: 'warn' } as const

/** A board that cannot work must not look like one that waits for work. */
export const stateWords = ({ state, idle }: Pick<Device, 'state' | 'idle'>): { label: string; tone: Tone } =>
  idle === undefined || WAITS.has(idle) ? DEVICE_WORDS[state] : HINDERED

/** In the order in which they are offered. */
export const STATE_LABELS: readonly string[] = [...Object.values(DEVICE_WORDS), HINDERED].map(({ label }) => label)

export const TASK_WORDS: Readonly<Record<TaskView['state'], { label: string; tone: Tone }>> = {
  queued: { label: 'Waiting', tone: 'calm' },
  leased: { label: 'Running', tone: 'busy' },
  done: { label: 'Answered', tone: 'ok' },
  failed: { label: 'Refused', tone: 'bad' },
  expired: { label: 'Expired', tone: 'warn' },
}

export const RECEIPT_WORDS: Readonly<Record<ReceiptView['state'], { label: string; tone: Tone }>> = {
  received: { label: 'Received', tone: 'calm' },
  held: { label: 'Held', tone: 'warn' },
  credited: { label: 'Credited', tone: 'ok' },
  rejected: { label: 'Rejected', tone: 'bad' },
  forfeited: { label: 'Forfeited', tone: 'bad' },
}

export const PAYOUT_WORDS: Readonly<Record<PayoutView['state'], { label: string; tone: Tone }>> = {
  planned: { label: 'Planned', tone: 'calm' },
  signed: { label: 'Signed', tone: 'busy' },
  sent: { label: 'Sent', tone: 'busy' },
  confirmed: { label: 'Confirmed', tone: 'busy' },
  finalized: { label: 'Paid', tone: 'ok' },
  expired: { label: 'Signing again', tone: 'warn' },
  failed: { label: 'Failed', tone: 'bad' },
}

/** Where a board is on its way to a version. */
export const PLACE_WORDS: Readonly<Record<NonNullable<ModelPlace['state']>, { label: string; tone: Tone }>> = {
  serving: { label: 'Serving', tone: 'ok' },
  asked: { label: 'Not begun', tone: 'calm' },
  waiting: { label: 'Waiting', tone: 'warn' },
  downloading: { label: 'Downloading', tone: 'busy' },
  checking: { label: 'Checking', tone: 'busy' },
  proving: { label: 'Proving', tone: 'busy' },
  refused: { label: 'Refused', tone: 'bad' },
  unreachable: { label: 'Unreachable', tone: 'warn' },
}

const RECEIPT_REASONS: Readonly<Record<string, string>> = {
  'own-work': 'Not asked for through the pool, so nobody pays for it',
  'not-leased': 'The task was leased to another board',
  'digest-mismatch': 'The receipt and the answer name different digests; held until it is looked at',
  'chain-fork': 'Another batch already stands at this place of the chain',
  'bad-signature': "The signature is not the board's",
}

/** A receipt's reason in words; an unknown code is shown as it is rather than hidden. */
export const receiptReason = (reason: string | undefined): string | undefined =>
  reason === undefined ? undefined : (RECEIPT_REASONS[reason] ?? reason)

/** `other`: what did not fit into the heartbeat. */
const DROP_WORDS: Readonly<Record<DropReason | ErrorCode | 'other', string>> = {
  'newer-frame': 'for a newer frame of the same source',
  duplicate: 'sent again while in hand or answered',
  retained: 'retained by the broker, so old',
  stopping: 'while shutting down',
  'too-large': 'over the size limit',
  'unknown-model': 'for a model it does not serve',
  'bad-envelope': 'in a CBOR map that could not be read',
  'bad-frame': 'that could not be decoded',
  'bad-tensor': 'with a tensor of the wrong shape',
  timeout: 'stopped for taking too long',
  crashed: 'lost in a crash of the model process',
  'model-failed': 'on which the model failed',
  'no-board': 'with no board free',
  'budget-exhausted': 'without budget',
  busy: 'with the board full',
  expired: 'past their deadline',
  late: 'past their deadline',
  'queue-full': 'with the queue full of tasks',
  'too-hot': 'while too hot',
  'outbox-full': 'with the outbox full',
  'disk-failing': 'with a failing disk',
  poison: 'known to kill the model process',
  other: 'for other reasons',
}
const DROPPED: ReadonlyMap<string, string> = new Map(Object.entries(DROP_WORDS))

/** Dropped frames by reason: `418 for a newer frame of the same source`; empty when there are none. */
export const dropWords = (drops: Readonly<Record<string, number>>): string =>
  Object.entries(drops)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${formatCount(count)} ${DROPPED.get(reason) ?? reason}`)
    .join(', ')

const IDLE_WORDS: Readonly<Record<IdleReason, string>> = {
  'no-work': 'No work has arrived',
  starting: 'Starting',
  'host-restarting': 'The model process is restarting',
  'no-model': 'None of its models can be run',
  'outbox-full': 'Its outbox is full of receipts nobody acknowledged',
  'disk-failing': 'Its disk does not take results',
  'too-hot': 'Too hot, pausing',
  'all-refused': 'It refuses or drops every frame that comes in',
  stuck: 'It has work and answers none of it',
}
/** Why a board that works on nothing does not. An older agent names no reason when its work stands still. */
export function idleWords({ idle, queue, rate }: Pick<HeartbeatMessage, 'idle' | 'queue' | 'rate'>): string {
  if (idle !== undefined) return IDLE_WORDS[idle]
  return queue > 0 && rate === 0 ? IDLE_WORDS.stuck : 'It has just done what there was'
}

/** What a board's flag means and what its owner can do about it. */
export const FLAG_WORDS: Readonly<Record<VitalFlag, { label: string; tone: Tone; advice: string }>> = {
  'under-voltage': {
    label: 'Under-voltage',
    tone: 'bad',
    advice: 'Its supply voltage drops too low: use a better power supply and a shorter or thicker cable.',
  },
  'frequency-capped': {
    label: 'Clock capped',
    tone: 'warn',
    advice: 'Its firmware holds the clock down, for heat or a weak power supply.',
  },
  throttled: {
    label: 'Throttled',
    tone: 'bad',
    advice: 'Its firmware slows it, for heat or a weak power supply: cool it, or use a better supply.',
  },
  'soft-temperature-limit': {
    label: 'Warm',
    tone: 'warn',
    advice: 'Its firmware holds the clock down for heat: give it a heat sink, a fan or more air.',
  },
  slowed: {
    label: 'Slowed for heat',
    tone: 'warn',
    advice:
      'The agent pauses between runs so that the board need not throttle: give it a heat sink, a fan or more air.',
  },
  'disk-full': {
    label: 'Disk full',
    tone: 'bad',
    advice: 'Its disk has almost no room: results may not be kept through a power cut. Make room or use a larger card.',
  },
  'disk-read-only': {
    label: 'Disk read-only',
    tone: 'bad',
    advice: 'Its disk takes no writes, as cards do when they wear out: replace the card.',
  },
  'clock-wrong': {
    label: 'Clock wrong',
    tone: 'warn',
    advice:
      'Its clock differs from this console’s: the times in its answers and receipts are wrong. Let it reach a time server (timedatectl).',
  },
}

/** An estimate must not pass for a measurement, nor a few measurements for all. */
export function energyTitle(history: readonly Pick<DeviceDetail['history'][number], 'energy'>[]): string {
  const kinds = new Set(history.flatMap(({ energy }) => energy?.from ?? []))
  if (!kinds.has('estimated')) return 'Energy an inference (measured)'
  return `Energy an inference (${kinds.has('measured') ? 'partly ' : ''}estimated)`
}

/** Where models run, when it is not where they should. */
export const providerWords = ({ wanted, used }: NonNullable<Device['provider']>): string =>
  wanted === undefined ? `On ${used}, though the board has a GPU` : `On ${used}, not on ${wanted} as wanted`

/** What is wrong with a quantized model on a board that measured it; undefined where it is as it should be. */
export function comparisonWords({ quantizedMs, fp32Ms, agree, frames }: Comparison): string | undefined {
  const faults = [
    ...(agree < frames ? [`DIFFERENT ANSWERS on ${frames - agree} of ${frames} frames`] : []),
    ...(quantizedMs > fp32Ms ? [`SLOWER, ${formatMs(quantizedMs)} against ${formatMs(fp32Ms)}`] : []),
  ]
  return faults.length === 0 ? undefined : `Beside the unquantized model: ${faults.join('; ')}`
}

/** Which execution provider chose, and who decided how the cores are used. */
export const CHOSEN_WORDS = {
  default: 'by default; `bramble-agent bench` may find better',
  bench: 'by its own bench',
  config: 'by its configuration',
} as const

export const PACKAGE_WORDS = {
  waiting: { label: 'Waiting', tone: 'calm' },
  downloading: { label: 'Downloading', tone: 'busy' },
  checking: { label: 'Checking', tone: 'busy' },
  proving: { label: 'Proving', tone: 'busy' },
  refused: { label: 'Refused', tone: 'bad' },
} as const satisfies Record<string, { label: string; tone: Tone }>
