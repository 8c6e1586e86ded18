// Home Assistant, for owners who have one: the board announces itself, and takes that back when it is told not to any more.
// The announcement is retained, so Home Assistant finds it whenever it starts; its birth message (`homeassistant/status`) is
// not listened to, because a board's credential does not reach beyond its own topics.
import { rmSync } from 'node:fs'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { InfoMessage } from '../broker/protocol/messages.ts'
import { formatTopic } from '../broker/protocol/topics.ts'
import { discoveryOf, platformsOf } from './home-assistant/discovery.ts'
import { readPrivate, writePrivate } from './private-file.ts'

export interface HomeAssistant {
  /** Says it, or takes back what was said once. At each connection, and when the models change. */
  announce(): Promise<void>
}

interface Options {
  /** Off: only what an earlier run announced is taken back. */
  readonly on: boolean
  /** Remembers what was announced, so that it can be taken back. */
  readonly file: string
  readonly device: string
  readonly root: string
  /** The birth message as it is now; undefined until the board serves. */
  readonly info: () => Pick<InfoMessage, 'name' | 'version' | 'board' | 'models'> | undefined
  readonly pictures: () => ReadonlySet<string>
  readonly sensors: () => Promise<{ readonly hasPowerFlags: boolean; readonly hasTemperature: boolean }>
  readonly publish: (
    topic: string,
    payload: string,
    options: { qos: 1; retain: true; contentType?: string },
  ) => Promise<void>
  readonly log: Logger
}

/** Platforms of the entities, by key. */
const Announced = z.record(z.string(), z.string())
type Announced = z.infer<typeof Announced>
/** Entities of models that this board served once: each is told to be removed, which costs some bytes. */
const MAX_GONE = 64

function readAnnounced(file: string): Announced | undefined {
  const text = readPrivate(file)
  if (text === undefined) return undefined
  try {
    return Announced.parse(JSON.parse(text))
  } catch {
    // Half a file cannot be (it is replaced at once); one of another version says at least that there was something.
    return {}
  }
}

export function createHomeAssistant(options: Options): HomeAssistant {
  const { on, file, device, root, publish, log } = options
  const topic = formatTopic({ kind: 'discovery', device })
  let announced = readAnnounced(file)

  async function say(): Promise<void> {
    const info = options.info()
    if (info === undefined) return
    const before = Object.fromEntries(Object.entries(announced ?? {}).slice(-MAX_GONE))
    const discovery = discoveryOf({
      device,
      root,
      info,
      before,
      pictures: options.pictures(),
      ...(await options.sensors()),
    })
    const platforms = platformsOf(discovery)
    // Before it is said: what may have been said must be taken back one day.
    if (JSON.stringify(platforms) !== JSON.stringify(announced)) writePrivate(file, JSON.stringify(platforms))
    announced = platforms
    await publish(topic, JSON.stringify(discovery), { qos: 1, retain: true, contentType: 'application/json' })
  }

  async function takeBack(): Promise<void> {
    await publish(topic, '', { qos: 1, retain: true })
    rmSync(file, { force: true })
    announced = undefined
    log.info('Home Assistant was told to forget this board')
  }

  return {
    async announce() {
      if (!on && announced === undefined) return
      try {
        await (on ? say() : takeBack())
      } catch (error) {
        log.info({ err: error }, 'Home Assistant was not told; it is tried again at the next connection')
      }
    },
  }
}
