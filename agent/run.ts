// `bramble-agent run`: opens everything in the order it depends on, and closes it in reverse.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import { connectLink, type Link } from '../broker/link.ts'
import { filters } from '../broker/protocol/topics.ts'
import { readCatalog } from '../models/catalog.ts'
import { createHost, type InferenceHost } from '../models/runtime/host.ts'
import { systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { type Core, createCore } from './core.ts'
import { createServing, type Serving } from './frames/serving.ts'
import { openIdentity } from './membership/identity.ts'
import { type Membership, openMembership } from './membership.ts'
import { type Buffer, openBuffer } from './outbox/buffer.ts'
import { infoOf } from './presence/info.ts'
import { createReadings } from './presence/readings.ts'
import { readBoard } from './presence/vitals.ts'
import { createPresence, lastWill, type Presence } from './presence.ts'

const MIB = 1024 * 1024
/** SIGTERM to exit takes 5 s at most: the work, then the last answers, then the goodbye. */
const DRAIN_MS = 2_500
const PUBLISH_MS = 750
const GOODBYE_MS = 250
const LINK_MS = 500

export interface Agent {
  /** Stops taking work, finishes what it holds within seconds, says goodbye. */
  close(): Promise<void>
}

const sleepUntil = (ms: number, signal: AbortSignal): Promise<void> =>
  wait(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })

/** Resolves once the board serves. Rejects with an error that says what to do: key, credential, models, outbox. */
export async function startAgent(config: Config, log: Logger, version: string): Promise<Agent> {
  const { now } = systemClock
  const identity = openIdentity(config.data)
  const membership = openMembership({ config, identity, now, sleep: sleepUntil, log })
  await membership.renewal?.check()
  const catalog = await readCatalog(config.models)
  const buffer = openBuffer({
    file: join(config.data, 'buffer.db'),
    device: membership.device,
    privateKey: identity.privateKey,
    capBytes: config.outboxMiB * MIB,
    now,
  })
  if (buffer.setAside) log.error(buffer.setAside, 'the outbox could not be used and was set aside; a new one begins')
  const host = createHost({ log, intraOpThreads: config.threads })
  const serving = createServing({ catalog, host, log, ...(config.serve && { only: config.serve }) })
  return connect({ config, log, version, boot: randomUUID(), membership, buffer, host, serving })
}

interface Opened {
  readonly config: Config
  readonly log: Logger
  readonly version: string
  /** New at each process start. */
  readonly boot: string
  readonly membership: Membership
  readonly buffer: Buffer
  readonly host: InferenceHost
  readonly serving: Serving
}

interface Connected extends Opened {
  readonly core: Core
  readonly link: Link
  readonly presence: Presence
}

/** The broker sees the board while its models load; frames that come meanwhile wait in the queue. */
async function connect(opened: Opened): Promise<Agent> {
  const { membership, buffer, host, log } = opened
  const { device, root, renewal } = membership
  let origin: number | undefined
  const core = createCore({
    ...opened,
    device,
    root,
    receipts: renewal !== undefined,
    limits: limitsOf(opened.config),
    origin: () => origin,
    publish: (topic, payload) => link.publish(topic, payload, { qos: 1 }),
    clock: systemClock,
    newId: randomUUID,
  })
  const link = openLink(membership, log)
  const { now } = systemClock
  const ready = (): boolean => origin !== undefined
  const heartbeat = createReadings({ ...core, buffer, host, ready, now, rssBytes: process.memoryUsage.rss })
  const presence = createPresence({ device, root, publish: link.publish, heartbeat, clock: systemClock, log })
  const connected = { ...opened, core, link, presence }
  listen(connected)
  const renewing = new AbortController()
  const renewed = renewal?.run(renewing.signal)
  origin = await load(connected)
  await serve(connected)
  return {
    async close() {
      renewing.abort()
      await renewed
      await stop(connected)
    },
  }
}

const limitsOf = ({ queueFrames, queueMiB, payloadKiB }: Config) => ({
  framesPerModel: queueFrames,
  bytesPerModel: queueMiB * MIB,
  payloadBytes: payloadKiB * 1024,
})

const openLink = ({ device, root, url, login }: Membership, log: Logger): Link =>
  connectLink({
    url,
    clientId: device,
    ...login,
    will: lastWill(device, root),
    subscriptions: filters.deviceInput(device, root),
    log,
  })

function listen({ link, core, presence, membership }: Connected): void {
  link.onMessage((topic, payload, retain) => core.intake.receive(topic, payload, retain))
  link.onConnect(() => {
    core.outbox.connected()
    void presence.connected()
  })
  link.onDisconnect(() => core.outbox.disconnected())
  link.onRefused(({ code }) => {
    if (code === 'refused') membership.renewal?.doubt()
  })
}

/** The number under which receipts name this process and what it runs on. */
async function load({ serving, host, buffer, boot }: Connected): Promise<number> {
  await serving.load()
  return buffer.origin(boot, await host.runtime())
}

async function serve({ config, version, boot, membership, host, serving, core, presence, log }: Connected) {
  core.work.start()
  const { device, name } = membership
  const [runtime, board] = await Promise.all([host.runtime(), readBoard()])
  const limits = { payloadBytes: config.payloadKiB * 1024, queuedFrames: config.queueFrames }
  const models = serving.served()
  const at = systemClock.now()
  await presence.ready(infoOf({ device, name, boot, at, version, board, runtime, models, limits }))
  log.info({ device, name, models: serving.names(), runtime }, 'serving')
}

async function stop({ core, presence, link, host, buffer, log }: Connected): Promise<void> {
  core.intake.stop()
  await Promise.race([core.work.idle(), wait(DRAIN_MS)])
  core.work.giveUp()
  // What still runs is answered `busy` by the closing host, so that it is leased to another board at once.
  const hostClosed = host.close()
  await Promise.race([core.work.idle(), hostClosed])
  core.commits.flush()
  await Promise.race([core.outbox.published(), wait(PUBLISH_MS)])
  await Promise.race([presence.goodbye(), wait(GOODBYE_MS)])
  presence.close()
  await Promise.race([link.close(), wait(LINK_MS)])
  core.outbox.close()
  await hostClosed
  core.commits.flush()
  core.commits.close()
  log.info({ ...core.tally.counts(), owed: buffer.owed() }, 'stopped')
  buffer.close()
}
