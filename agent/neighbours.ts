// Who stands around the board besides pipelines: the console with its commands, Home Assistant, systemd.
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Link } from '../broker/link.ts'
import type { InfoMessage, VitalsMessage } from '../broker/protocol/messages.ts'
import { formatTopic, parseTopic } from '../broker/protocol/topics.ts'
import type { InferenceHost } from '../models/runtime/host.ts'
import { type Clock, systemClock } from './clock.ts'
import { createCommands } from './commands/commands.ts'
import { convergeHandler } from './commands/converge.ts'
import { logsHandler } from './commands/logs.ts'
import { poisonHandler } from './commands/poison.ts'
import type { Config } from './config.ts'
import type { Core } from './core.ts'
import type { Job } from './frames/work.ts'
import { createImages } from './home-assistant/images.ts'
import { createHomeAssistant } from './home-assistant.ts'
import { createLiveness } from './liveness.ts'
import type { Packages } from './packages.ts'
import type { Senses } from './presence/senses.ts'
import { createSystemd, NO_SYSTEMD, notifyOf, type Systemd, watchdogOf } from './systemd.ts'

export interface Neighbours {
  /** True when the message was a command. */
  receive(topic: string, payload: Uint8Array, retain: boolean): boolean
  connected(): void
  /** The birth message is said, and it may say that nothing can be run. The first time the service counts as started. */
  announced(info: InfoMessage): void
  /** A frame of a stream was answered. */
  seen(job: Job): void
  stopping(): Promise<void>
}

interface Options {
  readonly config: Config
  readonly device: string
  readonly root: string
  readonly core: Pick<Core, 'work' | 'tally' | 'suspects'>
  readonly host: Pick<InferenceHost, 'stats'>
  readonly link: Pick<Link, 'publish' | 'connected'>
  readonly senses: Pick<Senses, 'look' | 'examine' | 'slow'>
  readonly vitals: () => Promise<VitalsMessage>
  /** Present at a console. */
  readonly packages: Pick<Packages, 'converge' | 'skewMs'> | undefined
  /** The last lines of the log, oldest first. */
  readonly logLines: () => readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly pid: number
  readonly log: Logger
  readonly clock?: Clock
}

/** Tasks whose frames are pictures. */
const PICTURES: ReadonlySet<string> = new Set(['classification', 'detection'])

function openSystemd(
  { config, core, host, link, senses, env, pid, log, clock = systemClock }: Options,
  models: () => string,
) {
  const notify = notifyOf(env)
  if (!notify) return NO_SYSTEMD
  const watchdogMs = watchdogOf(env, pid)
  const liveness = createLiveness({
    work: core.work,
    host,
    slow: senses.slow,
    runLimitMs: config.runLimitMs,
    elapsed: clock.elapsed,
  })
  const status = (): string => {
    const { work, tally } = core
    const broker = link.connected ? 'connected' : 'no connection to the broker'
    return `serving ${models() || 'nothing'}; ${broker}; ${tally.counts().answered} answered, ${work.load()} in hand`
  }
  return createSystemd({
    notify,
    ...(watchdogMs !== undefined && { watchdogMs }),
    stuck: liveness.stuck,
    status,
    clock,
    log,
  })
}

export function createNeighbours(options: Options): Neighbours {
  const { config, core, device, root, link, senses, vitals, packages, logLines, log, clock = systemClock } = options
  let info: InfoMessage | undefined
  let systemd: Systemd | undefined
  const models = (): readonly string[] => info?.models.map(({ id }) => id) ?? []

  const commands = createCommands({
    handlers: {
      logs: logsHandler(logLines),
      poison: poisonHandler(core.suspects),
      vitals,
      ...(packages && { converge: convergeHandler(packages.converge) }),
    },
    reply: (name, id, payload) =>
      link.publish(formatTopic({ kind: 'reply', device, name, id }, root), payload, {
        qos: 1,
        contentType: 'application/json',
      }),
    now: () => clock.now() - (packages?.skewMs() ?? 0),
    log,
  })
  const homeAssistant = createHomeAssistant({
    on: config.homeAssistant,
    file: join(config.data, 'home-assistant.json'),
    device,
    root,
    info: () => info,
    pictures: () => new Set(info?.models.filter(({ task }) => PICTURES.has(task)).map(({ id }) => id)),
    async sensors() {
      const [{ vitals }, { power }] = await Promise.all([senses.look(), senses.examine()])
      return { hasTemperature: vitals.tempC !== undefined, hasPowerFlags: power !== undefined }
    },
    publish: (topic, payload, how) => link.publish(topic, payload, how),
    log,
  })
  const images = createImages({
    publish: (model, jpeg) =>
      link.publish(formatTopic({ kind: 'device-image', device, model }, root), jpeg, {
        qos: 0,
        contentType: 'image/jpeg',
      }),
    elapsed: clock.elapsed,
  })
  const isCommand = `${root}/d/${device}/cmd/`

  return {
    receive(text, payload, retain) {
      const topic = text.startsWith(isCommand) ? parseTopic(text, root) : undefined
      if (topic?.kind !== 'command') return false
      commands.receive(topic.name, topic.id, payload, retain)
      return true
    },
    connected: () => void homeAssistant.announce(),
    announced(born) {
      info = born
      void homeAssistant.announce()
      if (systemd) return systemd.changed()
      systemd = openSystemd(options, () => models().join(', '))
      systemd.ready()
    },
    seen({ model, frame }) {
      if (config.homeAssistant) images.answered(model, frame.contentType, frame.data)
    },
    stopping: async () => systemd?.stopping(),
  }
}
