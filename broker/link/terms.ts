// The words of a link: its options, its limits, its one error.
import type { Logger } from 'pino'
import type { BackoffRange } from './backoff.ts'
import type { Version } from './dialect.ts'
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
  /** The broker answered a publish with a refusal (MQTT 5 only: 3.1.1 has no word for it). */
  | 'publish-refused'
  /** Larger than the broker said it takes (MQTT 5): it was not sent, because the broker would end the connection. */
  | 'too-large'
  /** CONNACK with a refusal: a wrong or expired credential, a full broker. */
  | 'refused'
  | 'subscription-refused'
  /** CONNACK: this version of MQTT is not spoken here. */
  | 'version-refused'
  /** A connection, but no CONNACK. */
  | 'silent'
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

/** A broker's address as it may be logged: without a user and a password. */
export function brokerOf(url: string): string {
  const { protocol, host } = new URL(url)
  return `${protocol}//${host}`
}

export interface LinkLimits extends InboxLimits {
  readonly connectMs: number
  /** The same while it is not known yet whether the broker speaks MQTT 5: one that does not may say nothing at all. */
  readonly trialMs: number
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
  trialMs: 5_000,
  pubackMs: 10_000,
  closeMs: 3_000,
  backoff: { firstMs: 1_000, longestMs: 30_000 },
  steadyMs: 10_000,
  inboxWindow: 64,
  inboxBytes: 16 * 1024 * 1024,
  backlogBytes: 4 * 1024 * 1024,
}

export interface LinkOptions {
  /** A function is asked at every connection: a broker may move. */
  readonly url: string | (() => string)
  readonly clientId: string
  readonly username?: string
  /** The same: a renewed credential is used. */
  readonly password?: string | (() => string)
  readonly will?: { readonly topic: string; readonly payload: string; readonly qos: 0 | 1; readonly retain: boolean }
  readonly subscriptions: readonly string[]
  /** 4 is MQTT 3.1.1, which every engine speaks; `auto` tries 5 first. 4 when absent. */
  readonly version?: Version | 'auto'
  readonly log: Logger
  readonly limits?: Partial<LinkLimits>
  readonly random?: () => number
  /** Milliseconds that never jump. */
  readonly now?: () => number
  /** Epoch milliseconds. */
  readonly epoch?: () => number
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>
}

export interface PublishOptions {
  readonly qos: 0 | 1
  readonly retain?: boolean
  /** MQTT 5 only, left out on 3.1.1: nothing may depend on these. */
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  readonly contentType?: string
  /** Seconds after which the broker need not deliver it any more. */
  readonly expiryS?: number
}

/** What MQTT 5 says beside a message; empty on 3.1.1. */
export interface MessageMeta {
  /** Where the sender listens for the answer, and what it wants to see again in it. */
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  readonly contentType?: string
  /** Epoch milliseconds, from the message expiry. */
  readonly expiresAt?: number
  /** The user property `source`: who sends it. */
  readonly source?: string
}
