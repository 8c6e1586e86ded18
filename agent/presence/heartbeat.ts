// The heartbeat: what the board did and how it is, small enough to be sent every half minute over a metered uplink.
import type { HeartbeatMessage, VitalFlag } from '../../broker/protocol/messages.ts'
import type { Counts } from '../frames/tally.ts'
import type { Vitals } from './vitals.ts'

/** The promise of the protocol. */
export const HEARTBEAT_BYTES = 400

export interface Readings {
  readonly at: number
  readonly upMs: number
  readonly counts: Counts
  /** Frames that came, runs that ended, and answers since the heartbeat before, and how long ago that was. */
  readonly inSince: number
  readonly runsSince: number
  readonly answeredSince: number
  readonly sinceMs: number
  readonly queue: number
  readonly outbox: number
  /** Resident memory of the agent and its inference host. */
  readonly memMiB: number
  readonly vitals: Vitals
  /** Worst first. */
  readonly flags: readonly VitalFlag[]
  readonly energy: HeartbeatMessage['energy']
  readonly host: 'starting' | 'ready' | 'restarting'
  /** Models it can run. */
  readonly models: number
  /** It is too hot to work. */
  readonly paused: boolean
  readonly diskFailing: boolean
  readonly outboxFull: boolean
}

/** One run may take as long; two are over the usual limit. */
const STUCK_MS = 20_000

/** The first cause that alone keeps it from working; `no-work` only where nothing else does. */
function idleReason(readings: Readings): HeartbeatMessage['idle'] {
  const { host, models, paused, diskFailing, outboxFull } = readings
  if (models === 0) return 'no-model'
  if (host === 'starting') return 'starting'
  if (host === 'restarting') return 'host-restarting'
  if (paused) return 'too-hot'
  if (diskFailing) return 'disk-failing'
  if (outboxFull) return 'outbox-full'
  return fruitless(readings)
}

/** Able to work, and no answer since the heartbeat before. */
function fruitless({ queue, inSince, runsSince, answeredSince, sinceMs }: Readings): HeartbeatMessage['idle'] {
  if (answeredSince > 0) return undefined
  if (queue === 0) return inSince === 0 ? 'no-work' : 'all-refused'
  if (runsSince > 0) return 'all-refused'
  return sinceMs >= STUCK_MS ? 'stuck' : undefined
}

/**
 * The message for these readings, at most 400 bytes of JSON. When they are more, rare reasons are added up as `other`, then
 * the last flags and the energy stay out: the vitals message and the results say them too.
 */
export function heartbeatOf(readings: Readings): HeartbeatMessage {
  const reasons = Object.entries(readings.counts.reasons).sort(([, a], [, b]) => b - a)
  const { flags, energy } = readings
  for (let kept = reasons.length; kept >= 0; kept -= 1) {
    const message = messageOf(readings, fold(reasons, kept), flags, energy)
    if (fits(message)) return message
  }
  for (let kept = flags.length; kept > 0; kept -= 1) {
    const message = messageOf(readings, fold(reasons, 0), flags.slice(0, kept), undefined)
    if (fits(message)) return message
  }
  return messageOf(readings, fold(reasons, 0), [], undefined)
}

const fits = (message: HeartbeatMessage): boolean => JSON.stringify(message).length <= HEARTBEAT_BYTES

function messageOf(
  readings: Readings,
  drops: Record<string, number>,
  flags: readonly VitalFlag[],
  energy: HeartbeatMessage['energy'],
): HeartbeatMessage {
  const { at, upMs, counts, answeredSince, sinceMs, queue, outbox, memMiB, vitals } = readings
  const idle = idleReason(readings)
  return {
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
    ...(energy && { energy }),
    ...(flags.length > 0 && { flags: [...flags] }),
    ...(idle && { idle }),
  }
}

function fold(reasons: readonly (readonly [string, number])[], kept: number): Record<string, number> {
  const rest = reasons.slice(kept).reduce((sum, [, count]) => sum + count, 0)
  return { ...Object.fromEntries(reasons.slice(0, kept)), ...(rest > 0 && { other: rest }) }
}
