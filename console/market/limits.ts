// The pool's limits and what they are when nobody says otherwise.

export interface MarketLimits {
  /** Larger payloads are refused `too-large`. */
  readonly payloadBytes: number
  /** All payloads held for open tasks together; beyond it new tasks are refused `busy`. */
  readonly storedBytes: number
  /** A board that did not answer within this loses the task to another. */
  readonly leaseMs: number
  /** How long a board that lost or refused a task is passed by for that task. */
  readonly avoidMs: number
  /** Leases of a board whose connection broke end this soon: it may be back with the answer in a moment. */
  readonly goneGraceMs: number
  /** For a task whose sender names no deadline. */
  readonly deadlineMs: number
  readonly maxDeadlineMs: number
  /** A stream frame is worth nothing once the next ones are there. */
  readonly frameDeadlineMs: number
  /** Boards that may be tried per task. */
  readonly attempts: number
  /** Tasks a board may hold at once: enough to keep it busy across a round trip, few enough that a slow one hoards none. */
  readonly window: number
  /** Told with `busy`. */
  readonly retryAfterMs: number
  /** An answer whose hand-over failed is tried again after this. */
  readonly answerAgainMs: number
  /** One notice per stream and reason in this time. */
  readonly noticeMs: number
  /** Ended and settled tasks are kept this long, and no more of them than `keptTasks`. */
  readonly keptMs: number
  readonly keptTasks: number
  /** A price reserved for an answer that no receipt claims is the requester's again after this. */
  readonly unclaimedMs: number
}

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

export const DEFAULT_LIMITS: MarketLimits = {
  payloadBytes: 1024 * 1024,
  storedBytes: 256 * 1024 * 1024,
  leaseMs: 30_000,
  avoidMs: 10_000,
  goneGraceMs: 5_000,
  deadlineMs: MINUTE,
  maxDeadlineMs: DAY,
  frameDeadlineMs: 5_000,
  attempts: 3,
  window: 8,
  retryAfterMs: 1_000,
  answerAgainMs: 5_000,
  noticeMs: 5_000,
  keptMs: 14 * DAY,
  keptTasks: 200_000,
  unclaimedMs: 7 * DAY,
}
