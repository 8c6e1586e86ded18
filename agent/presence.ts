// Tells the world that the board is there: status and birth message at every connection, a heartbeat every half minute.
import type { Logger } from 'pino'
import type { HeartbeatMessage, InfoMessage } from '../broker/protocol/messages.ts'
import { formatTopic } from '../broker/protocol/topics.ts'
import type { Clock } from './clock.ts'

export const HEARTBEAT_MS = 30_000

export interface Presence {
  /** The link came up. */
  connected(): Promise<void>
  /** The board can work: from now on the birth message says what it serves. */
  ready(info: InfoMessage): Promise<void>
  /** The last word before a clean disconnect, which sends no last will. */
  goodbye(): Promise<void>
  close(): void
}

interface Options {
  readonly device: string
  readonly root: string
  readonly publish: (topic: string, payload: string, options: { qos: 0 | 1; retain?: boolean }) => Promise<void>
  readonly heartbeat: () => Promise<HeartbeatMessage>
  readonly clock: Clock
  readonly log: Logger
}

/** The retained `offline` that the broker publishes when the board vanishes. */
export const lastWill = (device: string, root: string) =>
  ({ topic: formatTopic({ kind: 'status', device }, root), payload: 'offline', qos: 1, retain: true }) as const

export function createPresence({ device, root, publish, heartbeat, clock, log }: Options): Presence {
  const topicOf = (kind: 'status' | 'info' | 'heartbeat'): string => formatTopic({ kind, device }, root)
  let info: InfoMessage | undefined
  let stop: (() => void) | undefined
  let closed = false

  /** All of it is said again at the next connection or beat, so a lost one is only noted. */
  const say = (kind: 'status' | 'info' | 'heartbeat', payload: string): Promise<void> =>
    publish(topicOf(kind), payload, kind === 'heartbeat' ? { qos: 0 } : { qos: 1, retain: true }).catch(
      (error: unknown) => log.debug({ kind, err: error }, 'not said'),
    )

  const sayInfo = (): Promise<void> => (info ? say('info', JSON.stringify(info)) : Promise.resolve())

  async function beat(): Promise<void> {
    stop?.()
    stop = closed ? undefined : clock.after(HEARTBEAT_MS, () => void beat())
    await say('heartbeat', JSON.stringify(await heartbeat()))
  }

  return {
    async connected() {
      await Promise.all([say('status', 'online'), sayInfo(), beat()])
    },
    async ready(born) {
      info = born
      await Promise.all([sayInfo(), beat()])
    },
    goodbye: () => say('status', 'offline'),
    close() {
      closed = true
      stop?.()
    },
  }
}
