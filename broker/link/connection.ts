// One connection to a broker, from CONNECT to its end; the only importer of mqtt.js.
// mqtt.js is thrown away with each connection, because left to itself it keeps offline publishes in memory without limit,
// never gives up on a PUBACK, and sends what was in flight again on its own.
import './packet-memory.ts'
import { connect, type ISubscriptionGrant, type MqttClient } from 'mqtt'
import { type IConnackPacket, type IDisconnectPacket, writeToStream } from 'mqtt-packet'
import type { Version } from './dialect.ts'
import { createFlights, type Flights } from './flights.ts'
import type { Inbox } from './inbox.ts'
import { bytesOf, metaOf, NO_META, propertiesOf } from './properties.ts'
import {
  brokerOf,
  LinkError,
  type LinkErrorCode,
  type LinkLimits,
  type LinkOptions,
  type PublishOptions,
} from './terms.ts'
import { createWindow } from './window.ts'

/** mqtt-packet would make a buffer for each of the 65,536 numbers before the first packet: 9 MiB of a small board's memory. */
writeToStream.cacheNumbers = false

/** The portable subset: AWS IoT Core takes eight filters in one SUBSCRIBE. */
const FILTERS_PER_SUBSCRIBE = 8
const KEEPALIVE_S = 30
/** From here on a reason code is a failure, in SUBACK (3.1.1 knows only this one), PUBACK and CONNACK of MQTT 5. */
const FAILURE = 0x80
/** "Unacceptable protocol version" of 3.1.1, which an older broker also says to MQTT 5, and the word of MQTT 5 for it. */
const VERSION_REFUSED: readonly number[] = [1, 0x84]
const TAKEN_OVER = 0x8e

export interface Connection {
  readonly version: Version
  /** Subscribed, and neither ended nor ending. */
  readonly up: boolean
  readonly inFlight: number
  /** Resolves true once subscribed, false when the connection ended first. */
  readonly ready: Promise<boolean>
  readonly ended: Promise<LinkError>
  publish(topic: string, payload: string | Uint8Array, options: PublishOptions): Promise<void>
  /** Waits for what is in flight, then DISCONNECT; `closeMs` at most. */
  finish(): Promise<void>
}

/** What a connection tells while it lives. */
interface Listener {
  readonly inbox: Inbox
  /** The broker said no: to the credential or to a filter. */
  refuse(reason: LinkError): void
  /** CONNACK came: the broker speaks this version. */
  understood(): void
}
type Refuse = Listener['refuse']

const asBuffer = (payload: string | Uint8Array): string | Buffer =>
  typeof payload === 'string' || Buffer.isBuffer(payload)
    ? payload
    : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)

/** mqtt.js leaves Nagle on: with delayed ACKs a QoS 1 round trip then takes 20 ms, not 2. (ws turns it off by itself.) */
function setNoDelay({ stream }: MqttClient): void {
  if ('setNoDelay' in stream && typeof stream.setNoDelay === 'function') stream.setNoDelay(true)
}

/** Passes each PUBLISH to the inbox and lets mqtt.js read on; the PUBACK (the same four bytes in 3.1.1 and 5) is ours. */
function feedInbox(client: MqttClient, inbox: Inbox, epoch: () => number): void {
  const { stream } = client
  const is5 = client.options.protocolVersion === 5
  /** Given an error, mqtt.js leaves its own PUBACK out and goes on with the next packet. */
  const acknowledgedByInbox = new Error('acknowledged by the inbox')
  client.handleMessage = ({ topic, payload, retain, qos, messageId = 0, properties }, next) => {
    const acknowledge = (): void => {
      if (!stream.destroyed) stream.write(Buffer.of(0x40, 0x02, messageId >> 8, messageId & 0xff))
    }
    inbox.receive({
      topic,
      payload: Buffer.isBuffer(payload) ? payload : Buffer.from(payload),
      retain,
      meta: is5 ? metaOf(properties, epoch) : NO_META,
      ...(qos > 0 && { acknowledge }),
      readOn: () => next(qos > 0 ? acknowledgedByInbox : undefined),
    })
  }
}

/** The QoS granted to each topic (from 0x80 on: refused), or undefined when the connection ended first. */
const grantsOf = (client: MqttClient, topics: readonly string[]): Promise<readonly number[] | undefined> =>
  new Promise((resolve) => {
    client.subscribe([...topics], { qos: 1 }, (error, grants: ISubscriptionGrant[] | undefined, packet) => {
      // A refused filter arrives as an error that carries the SUBACK; any other error means that the connection is gone.
      if (packet) resolve(packet.granted.map(Number))
      else resolve(error ? undefined : grants?.map(({ qos }) => qos))
    })
  })

async function subscribeAll(client: MqttClient, topics: readonly string[], refuse: Refuse): Promise<boolean> {
  for (let from = 0; from < topics.length; from += FILTERS_PER_SUBSCRIBE) {
    const some = topics.slice(from, from + FILTERS_PER_SUBSCRIBE)
    const grants = await grantsOf(client, some)
    if (!grants) return false
    for (const [i, topic] of some.entries())
      if ((grants[i] ?? FAILURE) >= FAILURE)
        refuse(new LinkError('subscription-refused', `the broker refused the subscription to ${topic}`))
  }
  return true
}

/** Later than our own, which says more. */
const SPARE_MS = 1_000

function openClient(options: LinkOptions, { url, version }: Attempt, limits: LinkLimits): MqttClient {
  const { clientId, username, password, will } = options
  return connect(url, {
    clientId,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: typeof password === 'function' ? password() : password }),
    ...(will && { will: { ...will, payload: Buffer.from(will.payload) } }),
    protocolVersion: version,
    // With 5 as with 3.1.1: a session that ends with its connection (session expiry 0, when nothing else is said).
    clean: true,
    ...(version === 5 && { properties: { receiveMaximum: limits.inboxWindow } }),
    keepalive: KEEPALIVE_S,
    connectTimeout: Math.max(limits.connectMs, limits.trialMs) + SPARE_MS,
    reconnectPeriod: 0,
    queueQoSZero: false,
    resubscribe: false,
  })
}

/** Why there is no connection, from the first error of mqtt.js. */
function reasonOf(error: Error, opening: boolean): LinkError {
  const number = opening && 'code' in error && typeof error.code === 'number' ? error.code : undefined
  const code: LinkErrorCode =
    number === undefined ? 'unreachable' : VERSION_REFUSED.includes(number) ? 'version-refused' : 'refused'
  return new LinkError(code, error.message, { cause: error })
}

/** The broker's end of the conversation, as it says it in a DISCONNECT of MQTT 5. */
const goodbyeOf = ({ reasonCode = 0, properties }: IDisconnectPacket, clientId: string): string =>
  reasonCode === TAKEN_OVER
    ? `another client connected as ${clientId}`
    : `reason ${reasonCode}${properties?.reasonString === undefined ? '' : `: ${properties.reasonString}`}`

/** Publishes on one connection, within what the broker said it takes; without a word of it (3.1.1) there is no limit. */
function createSender(client: MqttClient, version: Version, broker: string, limits: LinkLimits, flights: Flights) {
  const window = createWindow()
  let packetBytes = Number.POSITIVE_INFINITY
  let retains = true

  function check(topic: string, payload: string | Uint8Array, options: PublishOptions): void {
    const { writableLength } = client.stream
    if (options.qos === 0 && writableLength > limits.backlogBytes)
      throw new LinkError('backlog', `${writableLength} bytes wait to be sent to ${broker}`)
    if (packetBytes === Number.POSITIVE_INFINITY) return
    const bytes = Buffer.byteLength(topic) + Buffer.byteLength(payload) + bytesOf(options)
    if (bytes > packetBytes)
      throw new LinkError('too-large', `${bytes} bytes, and ${broker} takes at most ${packetBytes}`)
  }

  function launch(topic: string, payload: string | Uint8Array, options: PublishOptions): Promise<void> {
    const { qos } = options
    const properties = version === 5 ? propertiesOf(options) : undefined
    // A broker that retains nothing ends the connection of whoever asks for it.
    const packet = { qos, retain: options.retain === true && retains, ...(properties && { properties }) }
    // At least one byte: an empty payload is waited for like any other.
    const bytes = qos === 1 ? Math.max(1, payload.length) : undefined
    return flights.add((landed) => void client.publish(topic, asBuffer(payload), packet, landed), bytes)
  }

  return {
    rejectAll: window.rejectAll,
    keepTo(terms: IConnackPacket['properties']): void {
      window.narrow(terms?.receiveMaximum ?? Number.POSITIVE_INFINITY)
      packetBytes = terms?.maximumPacketSize ?? Number.POSITIVE_INFINITY
      retains = terms?.retainAvailable ?? true
    },
    async publish(topic: string, payload: string | Uint8Array, options: PublishOptions): Promise<void> {
      check(topic, payload, options)
      if (options.qos === 0) return launch(topic, payload, options)
      const turn = window.enter()
      if (turn) await turn
      try {
        return await launch(topic, payload, options)
      } finally {
        window.leave()
      }
    },
  }
}

/** Tells how long `client` has tried in vain; a TCP connection that never came about says nothing of the broker's version. */
function watchOpening(client: MqttClient, broker: string, ms: number, end: (reason: LinkError) => void): () => void {
  const timer = setTimeout(() => {
    const { stream } = client
    const away = 'connecting' in stream && stream.connecting === true
    end(new LinkError(away ? 'unreachable' : 'silent', `no answer from ${broker} in ${ms} ms`))
  }, ms)
  return () => clearTimeout(timer)
}

export interface Attempt {
  readonly url: string
  readonly version: Version
  /** Milliseconds until the CONNACK must be there. */
  readonly patienceMs: number
}

export function openConnection(
  options: LinkOptions,
  limits: LinkLimits,
  attempt: Attempt,
  { inbox, refuse, understood }: Listener,
): Connection {
  const { url, version, patienceMs } = attempt
  const broker = brokerOf(url)
  const client = openClient(options, attempt, limits)
  const flights = createFlights(limits.pubackMs, end)
  const sender = createSender(client, version, broker, limits, flights)
  const ready = Promise.withResolvers<boolean>()
  const ended = Promise.withResolvers<LinkError>()
  let state: 'opening' | 'up' | 'finishing' | 'over' = 'opening'
  const stopWatch = watchOpening(client, broker, patienceMs, end)
  setNoDelay(client)
  feedInbox(client, inbox, options.epoch ?? Date.now)

  function end(reason: LinkError): void {
    if (state === 'over') return
    state = 'over'
    stopWatch()
    // Before mqtt.js ends them with a reason of its own.
    sender.rejectAll(reason)
    flights.rejectAll(reason)
    client.end(true)
    ready.resolve(false)
    ended.resolve(reason)
  }

  client.on('error', (error) => {
    const reason = reasonOf(error, state === 'opening')
    if (reason.code === 'refused') refuse(reason)
    end(reason)
  })
  client.on('close', () => end(new LinkError('disconnected', `the connection to ${broker} was closed`)))
  client.on('disconnect', (packet) =>
    end(new LinkError('disconnected', `${broker} ended the connection: ${goodbyeOf(packet, options.clientId)}`)),
  )
  client.on('connect', async ({ properties }) => {
    stopWatch()
    understood()
    sender.keepTo(properties)
    const subscribed = await subscribeAll(client, options.subscriptions, refuse)
    if (!subscribed) return end(new LinkError('unreachable', `no answer to SUBSCRIBE from ${broker}`))
    if (state !== 'opening') return
    state = 'up'
    ready.resolve(true)
  })

  async function finish(): Promise<void> {
    const closed = new LinkError('closed', 'the link was closed')
    if (state === 'opening') end(closed)
    if (state === 'up') state = 'finishing'
    const timer = setTimeout(() => end(closed), limits.closeMs)
    // mqtt.js waits for the PUBACKs in flight before it says DISCONNECT.
    if (state !== 'over') client.end()
    await ended.promise
    clearTimeout(timer)
  }

  return {
    version,
    get up() {
      return state === 'up'
    },
    get inFlight() {
      return flights.size
    },
    ready: ready.promise,
    ended: ended.promise,
    publish: sender.publish,
    finish,
  }
}
