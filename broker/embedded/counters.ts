// What the embedded broker counts, by reason: nothing is refused or dropped without a number.

/** Why a connection was refused or ended by the broker. */
export const REFUSALS = [
  'connect-rate',
  'connections-full',
  'pending-full',
  'user-connections-full',
  'bad-credential',
  'bad-client-id',
  'will-not-permitted',
  'authentication-failed',
  'oversize',
  'malformed',
  'denied-publish',
  'slow-subscriber',
  'credential-expired',
  'kicked',
] as const
export type Refusal = (typeof REFUSALS)[number]

export interface BrokerStats {
  /** Open now, authenticated or not. */
  readonly connections: number
  readonly accepted: number
  readonly refused: Readonly<Record<Refusal, number>>
  readonly deniedSubscribes: number
  /** QoS 0 messages not forwarded to a subscriber that was behind. */
  readonly shedFrames: number
  /** Times a publisher was held back because the console was behind. */
  readonly heldPublishers: number
  /** PUBLISH packets that were too large, read past and told of. */
  readonly tooLarge: number
  /** Messages whose retain flag was taken off. */
  readonly retainRefused: number
  readonly retainedTopics: number
  /** PUBLISH packets accepted. */
  readonly published: number
}

export interface Counters {
  accepted: number
  readonly refused: Record<Refusal, number>
  deniedSubscribes: number
  shedFrames: number
  heldPublishers: number
  tooLarge: number
  retainRefused: number
  published: number
}

export const createCounters = (): Counters => ({
  accepted: 0,
  refused: Object.fromEntries(REFUSALS.map((reason) => [reason, 0])) as Record<Refusal, number>,
  deniedSubscribes: 0,
  shedFrames: 0,
  heldPublishers: 0,
  tooLarge: 0,
  retainRefused: 0,
  published: 0,
})
