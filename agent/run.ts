// `bramble-agent run`: opens everything in the order it depends on, and closes it in reverse.
import { randomUUID } from 'node:crypto'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Link } from '../broker/link.ts'
import type { ModelPackage } from '../models/catalog.ts'
import type { InferenceHost } from '../models/runtime/host.ts'
import { type Announce, createAnnounce } from './announcing.ts'
import type { Choice, Compared } from './choice.ts'
import { createSteady, systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { type Core, createCore } from './core.ts'
import { createServing, type Serving } from './frames/serving.ts'
import { hostFault, type openHost } from './hosting.ts'
import { createLitter } from './litter.ts'
import { askWhileCutOff } from './membership/cut-off.ts'
import { openIdentity } from './membership/identity.ts'
import type { Renewal } from './membership/renewal.ts'
import { type Membership, openMembership } from './membership.ts'
import { createNeighbours, type Neighbours } from './neighbours.ts'
import { createOrigins, type Origins } from './origins.ts'
import { type Buffer, openBuffer } from './outbox/buffer.ts'
import { noticesOf } from './outbox/set-aside.ts'
import { writeRefused } from './poison-file.ts'
import { createReadings, createVitals } from './presence/readings.ts'
import { openSenses, type Senses } from './presence/senses.ts'
import { readBoard } from './presence/vitals.ts'
import { createPresence, type Presence } from './presence.ts'
import { openSoftware, type Software } from './software.ts'
import { stop } from './stop.ts'
import { freeBytesOf, openSupply, readFolder, type Supply } from './supply.ts'
import { openLink, voiceOf } from './voice.ts'

const MIB = 1024 * 1024
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly pid: number
  /** The last lines of the log, oldest first. */
  readonly logLines: () => readonly string[]
  readonly openHost: typeof openHost
}

export interface Agent {
  /** Rejects when what loads and serves the models has failed for good; settles after `close` at the latest. */
  readonly running: Promise<void>
  /** Resolves once another version of the agent has taken over: the next start runs it. */
  readonly replaced: Promise<void>
  /** Stops taking work, finishes what it holds within seconds, says goodbye. */
  close(): Promise<void>
}

const sleepUntil = (ms: number, signal: AbortSignal): Promise<void> =>
  wait(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })

/** Resolves as soon as frames may arrive: from then on only `close` ends it well. Rejects with an error that says what to do: key, credential, models, outbox. */
export async function startAgent(
  config: Config,
  log: Logger,
  version: string,
  surroundings: Surroundings,
): Promise<Agent> {
  const { now } = systemClock
  const identity = openIdentity(config.data)
  const membership = openMembership({ config, identity, now, sleep: sleepUntil, log })
  await membership.renewal?.check()
  const folder = await readFolder(config, membership, log)
  const buffer = openBuffer({
    file: bufferFile(config),
    device: membership.device,
    privateKey: identity.privateKey,
    capBytes: config.outboxMiB * MIB,
    now: createSteady(systemClock),
    onDamage: endWith(log),
  })
  if (buffer.setAside) log.error(buffer.setAside, 'the outbox could not be used and was set aside; a new one begins')
  const { host, cores, comparisons } = surroundings.openHost(config, log)
  const serving = createServing({ host, log })
  const boot = randomUUID()
  const known = { config, log, version, boot, membership, surroundings }
  return connect({ ...known, buffer, folder, host, cores, comparisons, serving })
}

const bufferFile = ({ data }: Config): string => join(data, 'buffer.db')

/** Wherever damage is met, also in a handler that goes on after errors: this process ends, the next one looks at the file. */
const endWith = (log: Logger) => (error: Error) => {
  log.fatal({ err: error }, error.message)
  setImmediate(() => {
    throw error
  })
}

interface Opened {
  readonly config: Config
  readonly log: Logger
  readonly version: string
  /** New at each process start. */
  readonly boot: string
  readonly membership: Membership
  readonly buffer: Buffer
  /** The packages of the model folder. */
  readonly folder: readonly ModelPackage[]
  readonly host: InferenceHost
  readonly cores: Choice
  readonly comparisons: readonly Compared[]
  readonly serving: Serving
  readonly surroundings: Surroundings
}

interface Connected extends Opened {
  readonly core: Core
  readonly link: Link
  readonly presence: Presence
  readonly supply: Supply
  readonly software: Software
  readonly senses: Senses
  readonly neighbours: Neighbours
}

/** The broker sees the board while its models load; frames that come meanwhile wait in the queue. */
async function connect(opened: Opened): Promise<Agent> {
  const { membership, host, log } = opened
  const { device, root, renewal } = membership
  const origins = createOrigins(opened.buffer, opened.boot)
  let told: Presence | undefined
  const skewMs = (): number | undefined => supply.packages?.skewMs()
  const senses = await openSenses({
    folder: opened.config.data,
    clock: systemClock,
    skewMs,
    changed: () => void told?.beat(),
    log,
  })
  const core = createCore({
    ...opened,
    device,
    root,
    receipts: renewal !== undefined,
    limits: limitsOf(opened.config),
    origin: origins.of,
    ...voiceOf(() => link),
    poisonous: (rows) => writeRefused(opened.config.data, rows),
    seen: (job) => neighbours.seen(job),
    clock: systemClock,
    // Without a console it is for pipelines and boards to have the same time.
    skewMs: () => (supply.packages ? skewMs() : 0),
    newId: randomUUID,
    processes: host.size,
    slow: senses.slow,
    energy: senses.energy.of,
  })
  let announce: Announce | undefined
  const changed = (): void => void announce?.()
  const supply = openSupply({ ...opened, work: core.work, changed, wished: () => software.wake() })
  const software = openSoftware({
    ...opened,
    ...opened.surroundings,
    work: core.work,
    desired: () => supply.packages?.desired(),
    freeBytes: () => freeBytesOf(opened.config.data),
    changed,
    clock: systemClock,
  })
  await supply.open()
  const link = openLink(membership, opened.config, log)
  const sources = {
    ...opened,
    ...core,
    senses,
    ready: origins.hasBegun,
    clock: systemClock,
    rssBytes: process.memoryUsage.rss,
  }
  const [heartbeat, vitals] = [createReadings(sources), createVitals({ ...sources, now: systemClock.now })]
  const { beat: beaten } = software
  const say = { publish: link.publish, heartbeat, vitals, beaten }
  const presence = createPresence({ device, root, ...say, clock: systemClock, log })
  told = presence
  const neighbours = createNeighbours({
    ...opened,
    ...membership,
    ...opened.surroundings,
    core,
    link,
    senses,
    vitals,
    packages: supply.packages,
  })
  const connected = { ...opened, core, link, presence, supply, software, senses, neighbours }
  listen(connected)
  const leaving = new AbortController()
  const renewed = renewal && keepCredential(renewal, link, opened.config, leaving.signal)
  async function work(): Promise<void> {
    announce = await begin(connected, origins)
    await Promise.all([supply.run(leaving.signal), software.run(leaving.signal)])
  }
  const running = work().catch((error: unknown) => {
    // Its models stopped loading because the board stops.
    if (!leaving.signal.aborted) throw error
  })
  return {
    running,
    replaced: software.replaced,
    async close() {
      leaving.abort()
      await stop(connected)
      await Promise.all([renewed, running])
    },
  }
}

/** It also says where the broker is, unless the owner does. */
const keepCredential = (renewal: Renewal, link: Pick<Link, 'connected'>, { mqttUrl }: Config, signal: AbortSignal) => {
  const ask = { ...renewal, isConnected: () => link.connected, sleep: sleepUntil }
  return Promise.all([renewal.run(signal), mqttUrl === undefined ? askWhileCutOff(ask, signal) : undefined])
}

const limitsOf = ({ queueFrames, queueMiB, payloadKiB }: Config) => ({
  framesPerModel: queueFrames,
  bytesPerModel: queueMiB * MIB,
  payloadBytes: payloadKiB * 1024,
})

function listen({ link, core, presence, membership, supply, software, neighbours }: Connected): void {
  const litter = createLitter()
  link.onMessage((topic, payload, retain, meta) => {
    litter(payload)
    if (!neighbours.receive(topic, payload, retain)) core.intake.receive(topic, payload, retain, meta)
  })
  link.onConnect(() => {
    core.outbox.connected()
    void presence.connected()
    supply.connected()
    software.wake()
    neighbours.connected()
  })
  link.onDisconnect(() => core.outbox.disconnected())
  link.onRefused(({ code }) => {
    if (code === 'refused') membership.renewal?.doubt()
  })
}

/** Loads the models and serves them; answers what says the birth message again. */
async function begin(connected: Connected, origins: Origins): Promise<Announce> {
  const { config, host, supply } = connected
  const [board, notices] = [await readBoard(), noticesOf(bufferFile(config))]
  const announce = createAnnounce({ ...connected, board, notices, clock: systemClock })
  await hostStarted(connected, announce)
  await supply.load()
  origins.begin(await host.runtime())
  await serve(connected, announce)
  return announce
}

/** A board that can run no model stays up and says why: its owner may be far away, and an update may cure it. */
async function hostStarted(connected: Connected, announce: Announce): Promise<void> {
  const { host, serving, core, supply, software, log } = connected
  const fault = await hostFault(host)
  if (!fault) return
  log.error({ code: fault.code }, fault.message)
  for (const id of serving.names()) serving.failed(id, fault.message)
  core.work.start()
  await announce([fault.message])
  await software.unfit()
  await host.ready()
  log.info('the inference process starts after all')
  serving.cleared()
  await supply.open()
}

async function serve({ membership, host, cores, serving, core, log }: Connected, announce: Announce): Promise<void> {
  core.work.start()
  await announce()
  const { device, name } = membership
  log.info({ device, name, models: serving.names(), runtime: await host.runtime(), cores }, 'serving')
  // By itself Node keeps compiled code when it exits, which a board that is only ever cut from its power never does.
  flushCompileCache()
}
