// Lifecycles as data: which states there are and which moves are allowed. A move is one guarded UPDATE elsewhere; the
// CHECK constraints of the migrations name the same states and a test holds both lists equal.

export const TASK_MOVES = {
  queued: ['leased', 'failed', 'expired'],
  leased: ['queued', 'done', 'failed', 'expired'],
  done: [],
  failed: [],
  expired: [],
} as const satisfies Record<string, readonly string[]>
export type TaskState = keyof typeof TASK_MOVES

export const RECEIPT_MOVES = {
  received: ['credited', 'held', 'rejected'],
  held: ['credited', 'forfeited'],
  credited: [],
  rejected: [],
  forfeited: [],
} as const satisfies Record<string, readonly string[]>
export type ReceiptState = keyof typeof RECEIPT_MOVES

export const PAYOUT_MOVES = {
  planned: ['signed', 'failed'],
  signed: ['sent', 'expired', 'confirmed', 'finalized', 'failed'],
  sent: ['confirmed', 'finalized', 'expired', 'failed'],
  // A confirmed block may still be forked away: back to sent, never forward to paid.
  confirmed: ['finalized', 'sent', 'failed'],
  expired: ['signed', 'finalized', 'failed'],
  finalized: [],
  failed: [],
} as const satisfies Record<string, readonly string[]>
export type PayoutState = keyof typeof PAYOUT_MOVES

/** A version of the agent on its way to the fleet. `canary`: the first ring alone. */
export const ROLLOUT_MOVES = {
  canary: ['widening', 'done', 'stopped', 'rolled-back'],
  widening: ['done', 'stopped', 'rolled-back'],
  stopped: ['canary', 'widening', 'rolled-back'],
  done: ['rolled-back'],
  'rolled-back': [],
} as const satisfies Record<string, readonly string[]>
export type RolloutState = keyof typeof ROLLOUT_MOVES

/** How far one board is with it. `refused`: for a reason of the board's own; `failed`: it went back, or was not heard of again. */
export const TRY_STATES = ['downloading', 'switching', 'trial', 'confirmed', 'refused', 'failed'] as const
export type TryState = (typeof TRY_STATES)[number]

/** Of a lookup table: what is given up may still lie on the chain. */
export const TABLE_MOVES = {
  growing: ['leaving', 'closed'],
  leaving: ['closed'],
  closed: [],
} as const satisfies Record<string, readonly string[]>
export type TableState = keyof typeof TABLE_MOVES
