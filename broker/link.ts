// A connection to an MQTT broker that keeps itself up: any engine that speaks 3.1.1 or 5, over TCP, TLS or WebSocket.
// It keeps no message: what must survive a lost connection is the caller's (the agent's outbox, the console's tables).
import { setTimeout as wait } from 'node:timers/promises'
import { backoffMs } from './link/backoff.ts'
import { type Connection, openConnection } from './link/connection.ts'
import { createDialect, type Version } from './link/dialect.ts'
import { createInbox, type MessageHandler } from './link/inbox.ts'
import { brokerOf, LINK_LIMITS, LinkError, type LinkOptions, type PublishOptions } from './link/terms.ts'

const PROTOCOLS: ReadonlySet<string> = new Set(['mqtt:', 'mqtts:', 'ws:', 'wss:'])

export interface Link {
  /** Resolves on PUBACK (QoS 1) or when the bytes were handed over (QoS 0). Rejects with LinkError; nothing is queued. */
  publish(topic: string, payload: string | Uint8Array, options: PublishOptions): Promise<void>
  /** True from the SUBACK on: what is published now can be answered. */
  readonly connected: boolean
  /** What the present connection speaks: 4 is MQTT 3.1.1. Undefined while there is none. */
  protocol(): Version | undefined
  /** The one handler; its promise holds back the PUBACK (link/inbox.ts). Register it before the first await. */
  onMessage(handler: MessageHandler): void
  onConnect(listener: () => void): void
  /** The end of a connection that had been up. */
  onDisconnect(listener: (reason: LinkError) => void): void
  /** The broker said no: `refused` (the credential; tried again later) or `subscription-refused` (up, without that filter). */
  onRefused(listener: (reason: LinkError) => void): void
  stats(): LinkStats
  /** Waits for PUBACKs within `closeMs`, then disconnects cleanly (the broker sends no last will). */
  close(): Promise<void>
}

export interface LinkStats {
  readonly connects: number
  readonly inFlight: number
  /** Incoming messages whose handler has not ended. */
  readonly handling: number
  readonly handlerFailures: number
}

const sleepUntil = (ms: number, signal: AbortSignal): Promise<void> =>
  wait(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })

function checkUrl(url: string): void {
  const parsed = URL.parse(url)
  if (!parsed?.hostname || !PROTOCOLS.has(parsed.protocol))
    throw new LinkError('bad-url', `not an MQTT broker's URL: ${url} (mqtt://host:1883, mqtts://, ws:// or wss://)`)
}

/** Throws LinkError `bad-url`; every later trouble is retried with full-jitter back-off until close(). */
export function connectLink(options: LinkOptions): Link {
  const { log, random = Math.random, sleep = sleepUntil } = options
  const { now = performance.now.bind(performance), version: wanted = 4 } = options
  const address = (): string => (typeof options.url === 'function' ? options.url() : options.url)
  checkUrl(address())
  let url = brokerOf(address())
  const limits = { ...LINK_LIMITS, ...options.limits }
  const stop = new AbortController()
  const connectListeners: (() => void)[] = []
  const disconnectListeners: ((reason: LinkError) => void)[] = []
  const refusedListeners: ((reason: LinkError) => void)[] = []
  let handler: MessageHandler = (topic) => log.warn({ topic }, 'a message came before anybody listened')
  let connection: Connection | undefined
  let connects = 0
  const dialect = createDialect(wanted, now)
  const inbox = createInbox((...message) => handler(...message), log, limits)

  function refuse(reason: LinkError): void {
    log.warn({ url, code: reason.code, reason: reason.message }, 'the broker refused')
    for (const listener of refusedListeners) listener(reason)
  }

  /** From start to end: how it went, and whether the other version of MQTT is to be tried at once. */
  async function connectOnce(): Promise<'steady' | 'short' | 'again'> {
    const version = dialect.next()
    url = brokerOf(address())
    const patienceMs = wanted === 'auto' && version === 5 ? limits.trialMs : limits.connectMs
    const listener = { inbox, refuse, understood: dialect.understood }
    connection = openConnection(options, limits, { url: address(), version, patienceMs }, listener)
    if (!(await connection.ready)) return missed(await connection.ended)
    const since = now()
    connects += 1
    log.info({ url, mqtt: version === 5 ? '5' : '3.1.1' }, 'connected')
    for (const listener of connectListeners) listener()
    const reason = await connection.ended
    log.info({ url, code: reason.code, reason: reason.message }, 'disconnected')
    for (const listener of disconnectListeners) listener(reason)
    return now() - since >= limits.steadyMs ? 'steady' : 'short'
  }

  function missed(reason: LinkError): 'short' | 'again' {
    const again = dialect.failed(reason.code)
    if (reason.code === 'version-refused' && !again) refuse(reason)
    log.info(
      { url, reason: reason.message },
      again ? 'not this version of MQTT: the other one is tried' : 'not connected',
    )
    return again ? 'again' : 'short'
  }

  async function run(): Promise<void> {
    for (let failures = 0; !stop.signal.aborted; failures += 1) {
      let ended = await connectOnce()
      if (ended === 'again' && !stop.signal.aborted) ended = await connectOnce()
      if (ended === 'steady') failures = 0
      if (!stop.signal.aborted) await sleep(backoffMs(failures, limits.backoff, random), stop.signal)
    }
  }

  const running = run()
  return {
    async publish(topic, payload, publishOptions) {
      if (stop.signal.aborted) throw new LinkError('closed', 'the link was closed')
      if (!connection?.up) throw new LinkError('not-connected', `not connected to ${url}`)
      return connection.publish(topic, payload, publishOptions)
    },
    get connected() {
      return connection?.up ?? false
    },
    protocol: () => (connection?.up ? connection.version : undefined),
    onMessage(next) {
      handler = next
    },
    onConnect: (listener) => void connectListeners.push(listener),
    onDisconnect: (listener) => void disconnectListeners.push(listener),
    onRefused: (listener) => void refusedListeners.push(listener),
    stats() {
      const { pending, failed } = inbox.stats()
      return { connects, inFlight: connection?.inFlight ?? 0, handling: pending, handlerFailures: failed }
    },
    async close() {
      stop.abort()
      await connection?.finish()
      await running
    },
  }
}
