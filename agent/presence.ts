// Tells the world that the board is there: status, birth message and vitals at every connection, a heartbeat every half minute,
// vitals every five.
import type { Logger } from 'pino'
import type { HeartbeatMessage, InfoMessage, VitalsMessage } from '../broker/protocol/messages.ts'
import { formatTopic } from '../broker/protocol/topics.ts'
import type { Clock } from './clock.ts'

export const HEARTBEAT_MS = 30_000
export const VITALS_MS = 5 * 60_000
/** The first of each after a connection: rates and the clock beside the console's are known only then. */
export const SOON_MS = { heartbeat: 10_000, vitals: 30_000 } as const

export interface Presence {
  /** The link came up. */
  connected(): Promise<void>
  /** The board can work: from now on the birth message says what it serves. */
  ready(info: InfoMessage): Promise<void>
  /** Something that the heartbeat says has changed: say it now. */
  beat(): Promise<void>
  /** The last word before a clean disconnect, which sends no last will. */
  goodbye(): Promise<void>
  close(): void
}

interface Options {
  readonly device: string
  readonly root: string
  readonly publish: (topic: string, payload: string, options: { qos: 0 | 1; retain?: boolean }) => Promise<void>
  readonly heartbeat: () => Promise<HeartbeatMessage>
  readonly vitals: () => Promise<VitalsMessage>
  /** A heartbeat went out over a connection. */
  readonly beaten?: () => void
  readonly clock: Clock
  readonly log: Logger
}

/** The retained `offline` that the broker publishes when the board vanishes. */
export const lastWill = (device: string, root: string) =>
  ({ topic: formatTopic({ kind: 'status', device }, root), payload: 'offline', qos: 1, retain: true }) as const

type Kind = 'status' | 'info' | 'heartbeat' | 'vitals'

/** What whoever comes later must find is retained; numbers that grow old are not. */
const MANNERS = {
  status: { qos: 1, retain: true },
  info: { qos: 1, retain: true },
  heartbeat: { qos: 0 },
  vitals: { qos: 1 },
} as const satisfies Record<Kind, { qos: 0 | 1; retain?: boolean }>

export function createPresence({ device, root, publish, heartbeat, vitals, beaten, clock, log }: Options): Presence {
  const topicOf = (kind: Kind): string => formatTopic({ kind, device }, root)
  let info: InfoMessage | undefined
  let stopBeat: (() => void) | undefined
  let stopVitals: (() => void) | undefined
  let closed = false

  /** All of it is said again at the next connection or beat, so a lost one is only noted. */
  const say = (kind: Kind, payload: string, said?: () => void): Promise<void> =>
    publish(topicOf(kind), payload, MANNERS[kind]).then(said, (error: unknown) =>
      log.debug({ kind, err: error }, 'not said'),
    )

  const sayInfo = (): Promise<void> => (info ? say('info', JSON.stringify(info)) : Promise.resolve())

  async function beat(nextMs = HEARTBEAT_MS): Promise<void> {
    stopBeat?.()
    stopBeat = closed ? undefined : clock.after(nextMs, () => void beat())
    await say('heartbeat', JSON.stringify(await heartbeat()), beaten)
  }

  async function sayVitals(nextMs = VITALS_MS): Promise<void> {
    stopVitals?.()
    stopVitals = closed ? undefined : clock.after(nextMs, () => void sayVitals())
    await say('vitals', JSON.stringify(await vitals()))
  }

  return {
    async connected() {
      await Promise.all([say('status', 'online'), sayInfo(), beat(SOON_MS.heartbeat), sayVitals(SOON_MS.vitals)])
    },
    async ready(born) {
      info = born
      await Promise.all([sayInfo(), beat(SOON_MS.heartbeat)])
    },
    beat: () => beat(),
    goodbye: () => say('status', 'offline'),
    close() {
      closed = true
      stopBeat?.()
      stopVitals?.()
    },
  }
}
