// Gathers what the next heartbeat and the next vitals say.
import type { HeartbeatMessage, VitalsMessage } from '../../broker/protocol/messages.ts'
import type { InferenceHost } from '../../models/runtime/host.ts'
import type { Clock } from '../clock.ts'
import type { Serving } from '../frames/serving.ts'
import type { Suspects } from '../frames/suspects.ts'
import type { Tally } from '../frames/tally.ts'
import type { Work } from '../frames/work.ts'
import type { Buffer } from '../outbox/buffer.ts'
import type { Commits } from '../outbox/commits.ts'
import { heartbeatOf } from './heartbeat.ts'
import type { Senses } from './senses.ts'

interface Options {
  readonly tally: Pick<Tally, 'counts'>
  readonly work: Pick<Work, 'load' | 'ended'>
  readonly commits: Pick<Commits, 'pending' | 'failing'>
  readonly buffer: Pick<Buffer, 'owed' | 'full'>
  readonly host: Pick<InferenceHost, 'stats'>
  readonly serving: Pick<Serving, 'names' | 'fault' | 'served'>
  readonly senses: Pick<Senses, 'look' | 'thermal' | 'energy'>
  /** False until the models are loaded. */
  readonly ready: () => boolean
  readonly clock: Pick<Clock, 'now' | 'elapsed'>
  readonly rssBytes: () => number
}

const MIB = 1024 * 1024
/** A heartbeat at a connection may follow another at once: rates over less than this say nothing, so the span goes on. */
const SHORTEST_SPAN_MS = 5_000

export function createReadings(options: Options): () => Promise<HeartbeatMessage> {
  const { tally, work, commits, buffer, serving, senses, ready, clock, rssBytes } = options
  let from = { at: clock.elapsed(), in: 0, runs: 0, answered: 0 }
  let energy: HeartbeatMessage['energy']
  return async () => {
    const { vitals, flags } = await senses.look()
    const at = clock.elapsed()
    const counts = tally.counts()
    const before = from
    if (at - before.at >= SHORTEST_SPAN_MS) {
      from = { at, in: counts.in, runs: work.ended(), answered: counts.answered }
      energy = senses.energy.take()
    }
    const host = options.host.stats()
    return heartbeatOf({
      at: clock.now(),
      upMs: at,
      counts,
      inSince: counts.in - before.in,
      runsSince: work.ended() - before.runs,
      answeredSince: counts.answered - before.answered,
      sinceMs: at - before.at,
      queue: work.load(),
      outbox: buffer.owed() + commits.pending(),
      memMiB: rssBytes() / MIB + (host.rssMiB ?? 0),
      vitals,
      flags,
      energy,
      host: ready() ? (host.ready ? 'ready' : 'restarting') : 'starting',
      models: runnable(serving),
      paused: senses.thermal.state() === 'paused',
      diskFailing: commits.failing(),
      outboxFull: buffer.full(),
    })
  }
}

/** Served, or about to be; not those that could not be loaded. */
const runnable = (serving: Options['serving']): number =>
  Math.max(serving.served().length, serving.names().filter((id) => serving.fault(id) === undefined).length)

interface Counted {
  readonly senses: Pick<Senses, 'examine'>
  readonly host: Pick<InferenceHost, 'stats'>
  readonly suspects: Pick<Suspects, 'count'>
  readonly now: () => number
}

/** Also what the command `vitals` answers. */
export const createVitals =
  ({ senses, host, suspects, now }: Counted): (() => Promise<VitalsMessage>) =>
  async () => {
    const found = await senses.examine()
    const { restarts, crashes, timeouts, recycled, unloads, waitedForLoad } = host.stats()
    const poisoned = suspects.count()
    return {
      at: new Date(now()).toISOString(),
      ...found,
      host: { restarts, crashes, timeouts, recycled, poisoned, unloads, waitedForLoad },
    }
  }
