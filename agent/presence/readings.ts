// Gathers what the next heartbeat says.
import type { HeartbeatMessage } from '../../broker/protocol/messages.ts'
import type { InferenceHost } from '../../models/runtime/host.ts'
import type { Tally } from '../frames/tally.ts'
import type { Work } from '../frames/work.ts'
import type { Buffer } from '../outbox/buffer.ts'
import type { Commits } from '../outbox/commits.ts'
import { heartbeatOf } from './heartbeat.ts'
import { readVitals } from './vitals.ts'

interface Options {
  readonly tally: Pick<Tally, 'counts'>
  readonly work: Pick<Work, 'load'>
  readonly commits: Pick<Commits, 'pending'>
  readonly buffer: Pick<Buffer, 'owed'>
  readonly host: Pick<InferenceHost, 'stats'>
  /** False until the models are loaded. */
  readonly ready: () => boolean
  readonly now: () => number
  readonly rssBytes: () => number
}

const MIB = 1024 * 1024

export function createReadings(options: Options): () => Promise<HeartbeatMessage> {
  const { tally, work, commits, buffer, host, ready, now, rssBytes } = options
  const startedAt = now()
  let last = { at: startedAt, answered: 0 }
  return async () => {
    const vitals = await readVitals()
    const at = now()
    const counts = tally.counts()
    const before = last
    last = { at, answered: counts.answered }
    const hostStats = host.stats()
    return heartbeatOf({
      at,
      upMs: Math.max(0, at - startedAt),
      counts,
      answeredSince: counts.answered - before.answered,
      sinceMs: at - before.at,
      queue: work.load(),
      outbox: buffer.owed() + commits.pending(),
      memMiB: rssBytes() / MIB + (hostStats.rssMiB ?? 0),
      vitals,
      host: ready() ? (hostStats.ready ? 'ready' : 'restarting') : 'starting',
    })
  }
}
