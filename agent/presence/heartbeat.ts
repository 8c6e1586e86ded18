// The heartbeat: what the board did and how it is, small enough to be sent every half minute over a metered uplink.
import type { HeartbeatMessage } from '../../broker/protocol/messages.ts'
import type { Counts } from '../frames/tally.ts'
import type { Vitals } from './vitals.ts'

/** The promise of the protocol. */
export const HEARTBEAT_BYTES = 400

export interface Readings {
  readonly at: number
  readonly upMs: number
  readonly counts: Counts
  /** Answers since the heartbeat before, and how long ago that was. */
  readonly answeredSince: number
  readonly sinceMs: number
  readonly queue: number
  readonly outbox: number
  /** Resident memory of the agent and its inference host. */
  readonly memMiB: number
  readonly vitals: Vitals
  readonly host: 'starting' | 'ready' | 'restarting'
}

const idleReason = ({ host, queue, answeredSince }: Readings): HeartbeatMessage['idle'] => {
  if (host === 'starting') return 'starting'
  if (host === 'restarting') return 'host-restarting'
  return queue === 0 && answeredSince === 0 ? 'no-work' : undefined
}

/** The message for these readings, at most 400 bytes of JSON: rare reasons are added up as `other` when there are too many. */
export function heartbeatOf(readings: Readings): HeartbeatMessage {
  const { at, upMs, counts, answeredSince, sinceMs, queue, outbox, memMiB, vitals } = readings
  const idle = idleReason(readings)
  const whole = (drops: Record<string, number>): HeartbeatMessage => ({
    at: new Date(at).toISOString(),
    upS: Math.round(upMs / 1000),
    queue,
    rate: sinceMs > 0 ? Math.round((answeredSince / sinceMs) * 10_000) / 10 : 0,
    in: counts.in,
    answered: counts.answered,
    refused: counts.refused,
    drops,
    outbox,
    ...(vitals.tempC !== undefined && { tempC: vitals.tempC }),
    memMiB: Math.round(memMiB),
    freeMiB: vitals.freeMiB,
    ...(idle && { idle }),
  })
  const reasons = Object.entries(counts.reasons).sort(([, a], [, b]) => b - a)
  for (let kept = reasons.length; kept > 0; kept -= 1) {
    const message = whole(fold(reasons, kept))
    if (JSON.stringify(message).length <= HEARTBEAT_BYTES) return message
  }
  return whole(fold(reasons, 0))
}

function fold(reasons: readonly (readonly [string, number])[], kept: number): Record<string, number> {
  const rest = reasons.slice(kept).reduce((sum, [, count]) => sum + count, 0)
  return { ...Object.fromEntries(reasons.slice(0, kept)), ...(rest > 0 && { other: rest }) }
}
