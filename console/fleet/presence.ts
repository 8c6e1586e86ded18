// Three clocks (MQTT session, last heartbeat, last useful result) and the time now make one state and one sentence.
// Pure, so no timer can contradict it: whoever asks, when ever, gets what the clocks say. The sentence names no ages: it is
// sent when the state changes and would be wrong a second later, and the clocks stand beside it.
import type { HeartbeatMessage, IdleReason } from '../../broker/protocol/messages.ts'
import type { Device } from '../routes/shapes.ts'

export interface Clocks {
  /** What the retained status (or the last will) said last, and when it was heard. */
  readonly mqtt?: { readonly state: 'online' | 'offline'; readonly at: number }
  readonly heartbeatAt?: number
  /** Last answer with a result, from this board. */
  readonly resultAt?: number
}

export interface Presence {
  readonly state: Device['state']
  readonly reason: string
  /** Of an idle board: why, as a code. */
  readonly idle?: IdleReason
}

/** Heartbeats come every 30 s: two missed ones and half an interval of slack. */
const LATE_AFTER_MS = 75_000
/** A board silent for this long is gone, whatever its MQTT session says: such a connection is half-open. */
const GONE_AFTER_MS = 300_000
/** A result younger than this is work going on. */
const WORKING_MS = 60_000
/** A status and a heartbeat may overtake each other by this much. */
const OVERTAKING_MS = 2_000

const IDLE_REASONS: Readonly<Record<IdleReason, string>> = {
  'no-work': 'Ready, and nobody has sent it work.',
  starting: 'Starting: it is loading its models.',
  'host-restarting': 'Its inference process is restarting; look at the last results for the cause.',
  'no-model': 'It can run none of its models: run `bramble-agent doctor` on it, or send it one from the Models page.',
  'outbox-full': 'Its outbox is full of receipts that this console has not acknowledged.',
  'disk-failing': 'Its disk does not take results: make room on it, or replace its card.',
  'too-hot': 'It is too hot and pauses until it has cooled down: give it a heat sink, a fan or more air.',
  'all-refused': 'Frames come in, and it refuses or drops every one: its facts count them by reason.',
  stuck: 'It has work and answers none of it: its log says more.',
}

/** What the last heartbeat says. */
type Told = Pick<HeartbeatMessage, 'idle' | 'queue' | 'rate'>

function readinessOf(told: Told | undefined): Pick<Presence, 'reason' | 'idle'> {
  if (told?.idle !== undefined) return { reason: IDLE_REASONS[told.idle], idle: told.idle }
  return told && told.queue > 0 && told.rate === 0
    ? { reason: 'It has work and answers none of it.', idle: 'stuck' }
    : { reason: 'Ready.' }
}

const NEVER_HEARD =
  'Enrolled, but it has never connected. A packaged board starts by itself; from source start `npx bramble-agent run` on it.'

export function presence(clocks: Clocks, told: Told | undefined, now: number): Presence {
  const { mqtt, heartbeatAt, resultAt } = clocks
  const heardAt = Math.max(heartbeatAt ?? 0, resultAt ?? 0)
  if (mqtt === undefined && heardAt === 0) return { state: 'new', reason: NEVER_HEARD }
  if (mqtt?.state === 'offline' && heardAt <= mqtt.at + OVERTAKING_MS)
    return { state: 'offline', reason: 'Its connection ended: look at its power and network.' }
  // A board that has just connected has its first heartbeat still before it.
  const aliveAt = Math.max(heardAt, mqtt?.state === 'online' ? mqtt.at : 0)
  const silentMs = now - aliveAt
  if (silentMs > GONE_AFTER_MS)
    return {
      state: 'offline',
      reason:
        mqtt?.state === 'online'
          ? 'Its MQTT session looks open, but nothing is heard of it: the connection is half-open.'
          : 'Nothing is heard of it: look at its power and network.',
    }
  if (silentMs > LATE_AFTER_MS)
    return { state: 'late', reason: 'Heartbeats come every 30 s, and at least two are missing.' }
  if (resultAt !== undefined && now - resultAt < WORKING_MS)
    return { state: 'working', reason: 'Frames come in and are answered.' }
  const readiness = readinessOf(told)
  const never = resultAt === undefined ? ' It has not answered anything yet.' : ''
  return { state: 'idle', ...readiness, reason: `${readiness.reason}${never}` }
}
