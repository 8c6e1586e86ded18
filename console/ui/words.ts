// The console's codes in plain words: what it means and, where something can be done, what to do.
import type { ErrorCode } from '../../broker/protocol/messages.ts'
import type { Device, PayoutView, ReceiptView, TaskView } from '../routes/shapes.ts'
import { formatCount } from './quantities.ts'

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

const DROP_WORDS: Readonly<Record<string, string>> = {
  'newer-frame': 'for a newer frame of the same source',
  'no-board': 'with no board free',
  'budget-exhausted': 'without budget',
  busy: 'with the board full',
  expired: 'past their deadline',
}

/** Dropped frames by reason: `418 for a newer frame of the same source`; empty when there are none. */
export const dropWords = (drops: Readonly<Record<string, number>>): string =>
  Object.entries(drops)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${formatCount(count)} ${DROP_WORDS[reason] ?? reason}`)
    .join(', ')

const IDLE_WORDS = {
  'no-work': 'No work has arrived',
  starting: 'Starting',
  'not-connected': 'Not connected to the broker',
  'host-restarting': 'The model process is restarting',
} as const
export const idleWords = (idle: keyof typeof IDLE_WORDS): string => IDLE_WORDS[idle]
