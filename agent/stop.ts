// The end of a run, in the order that loses least: no more work, the last answers, the goodbye, the disk.
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Link } from '../broker/link.ts'
import type { InferenceHost } from '../models/runtime/host.ts'
import type { Core } from './core.ts'
import type { Neighbours } from './neighbours.ts'
import type { Buffer } from './outbox/buffer.ts'
import type { Senses } from './presence/senses.ts'
import type { Presence } from './presence.ts'

/** SIGTERM to exit takes 5 s at most: the work, then the last answers, then the goodbye. */
const DRAIN_MS = 2_500
const PUBLISH_MS = 750
const GOODBYE_MS = 250
const LINK_MS = 500

interface Running {
  readonly core: Core
  readonly presence: Presence
  readonly senses: Senses
  readonly link: Link
  readonly host: InferenceHost
  readonly buffer: Buffer
  readonly neighbours: Neighbours
  readonly log: Logger
}

export async function stop({ core, presence, senses, link, host, buffer, neighbours, log }: Running): Promise<void> {
  core.intake.stop()
  // Not waited for: whoever stops a board has little time.
  void neighbours.stopping()
  await Promise.race([core.work.idle(), wait(DRAIN_MS)])
  core.work.giveUp()
  // What still runs is answered `busy` by the closing host, so that it is leased to another board at once.
  const hostClosed = host.close()
  await Promise.race([core.work.idle(), hostClosed])
  await core.commits.flush()
  await Promise.race([core.outbox.published(), wait(PUBLISH_MS)])
  await Promise.race([presence.goodbye(), wait(GOODBYE_MS)])
  presence.close()
  senses.close()
  await Promise.race([link.close(), wait(LINK_MS)])
  core.outbox.close()
  await hostClosed
  await core.commits.flush()
  core.commits.close()
  log.info({ ...core.tally.counts(), owed: buffer.owed() }, 'stopped')
  buffer.close()
}
