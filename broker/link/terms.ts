// The words of a link: its options, its limits, its one error.
import type { Logger } from 'pino'
import type { BackoffRange } from './backoff.ts'
import type { InboxLimits } from './inbox.ts'

export type LinkErrorCode =
  | 'bad-url'
  /** Refused at once, nothing was queued: the caller keeps it or counts a drop. */
  | 'not-connected'
  /** A QoS 0 publish met more unsent bytes than `backlogBytes`. */
  | 'backlog'
  /** The connection ended with the publish in flight: it may or may not have arrived. */
  | 'disconnected'
  | 'no-puback'
  /** CONNACK with a refusal: a wrong or expired credential, a full broker. */
  | 'refused'
  | 'subscription-refused'
  | 'unreachable'
  | 'closed'

export class LinkError extends Error {
  override readonly name = 'LinkError'
  readonly code: LinkErrorCode
  constructor(code: LinkErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export interface LinkLimits extends InboxLimits {
  readonly connectMs: number
  /** With publishes in flight, this long without a PUBACK or a byte leaving means that the connection is dead. */
  readonly pubackMs: number
  readonly closeMs: number
  readonly backoff: BackoffRange
  /** A connection that held this long was a success: the next back-off starts from the beginning. */
  readonly steadyMs: number
  /** Unsent bytes above which QoS 0 publishes are refused. */
  readonly backlogBytes: number
}

export const LINK_LIMITS: LinkLimits = {
  connectMs: 10_000,
  pubackMs: 10_000,
  closeMs: 3_000,
  backoff: { firstMs: 1_000, longestMs: 30_000 },
  steadyMs: 10_000,
  inboxWindow: 64,
  inboxBytes: 16 * 1024 * 1024,
  backlogBytes: 4 * 1024 * 1024,
}

export interface LinkOptions {
  readonly url: string
  readonly clientId: string
  readonly username?: string
  /** A function is asked at every connection, so that a renewed credential is used. */
  readonly password?: string | (() => string)
  readonly will?: { readonly topic: string; readonly payload: string; readonly qos: 0 | 1; readonly retain: boolean }
  readonly subscriptions: readonly string[]
  readonly log: Logger
  readonly limits?: Partial<LinkLimits>
  readonly random?: () => number
  readonly now?: () => number
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>
}

export interface PublishOptions {
  readonly qos: 0 | 1
  readonly retain?: boolean
}
