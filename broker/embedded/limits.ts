// What the embedded broker allows, and the one error of its start.

export interface BrokerLimits {
  /** A whole MQTT packet. The dispatcher's payload cap (1 MiB) plus a topic and an envelope fits. */
  readonly packetBytes: number
  /** A larger PUBLISH up to this size is read past and answered (`onTooLarge`); beyond it the connection ends. */
  readonly skippedBytes: number
  /** The CONNECT packet: a JWT and a last will fit easily. Nothing else is read before it was accepted. */
  readonly connectBytes: number
  /** From accept to a CONNECT, and from CONNECT to an answer of `authenticate`. */
  readonly connectMs: number
  readonly connections: number
  /** Connections that have not been authenticated yet. */
  readonly pending: number
  readonly connectionsPerUser: number
  /** Subscriptions of one connection. */
  readonly filtersPerConnection: number
  /** Token buckets of new connections: a refill per second and the burst above it. */
  readonly connectsPerS: number
  readonly connectBurst: number
  readonly connectsPerSPerAddress: number
  readonly connectBurstPerAddress: number
  /** Unsent bytes of a subscriber above which QoS 0 frames to it are dropped. */
  readonly shedBytes: number
  /** Unsent bytes above which a subscriber is disconnected. */
  readonly backlogBytes: number
  /** The same for the console, which everybody's results go to: publishers wait for it instead, so this is a last resort. */
  readonly consoleBacklogBytes: number
  /** Unsent bytes to the console above which those who publish to it are no longer read. */
  readonly waitBytes: number
  /** A subscriber that takes no byte for this long is disconnected. */
  readonly drainMs: number
  readonly retainedTopics: number
  readonly retainedBytesEach: number
  readonly retainedBytes: number
}

export const BROKER_LIMITS: BrokerLimits = {
  packetBytes: 1024 * 1024 + 16 * 1024,
  skippedBytes: 64 * 1024 * 1024,
  connectBytes: 64 * 1024,
  connectMs: 10_000,
  connections: 2_000,
  pending: 500,
  connectionsPerUser: 32,
  filtersPerConnection: 100,
  connectsPerS: 100,
  connectBurst: 400,
  connectsPerSPerAddress: 50,
  connectBurstPerAddress: 200,
  shedBytes: 256 * 1024,
  backlogBytes: 8 * 1024 * 1024,
  consoleBacklogBytes: 64 * 1024 * 1024,
  waitBytes: 1024 * 1024,
  drainMs: 5_000,
  retainedTopics: 20_000,
  retainedBytesEach: 32 * 1024,
  retainedBytes: 64 * 1024 * 1024,
}

export type BrokerErrorCode = 'port-taken' | 'not-permitted' | 'bad-address'

export class BrokerError extends Error {
  override readonly name = 'BrokerError'
  readonly code: BrokerErrorCode
  constructor(code: BrokerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
