// One connection to a broker, from CONNECT to its end; the only importer of mqtt.js.
// mqtt.js is thrown away with each connection, because left to itself it keeps offline publishes in memory without limit,
// never gives up on a PUBACK, and sends what was in flight again on its own.
import { connect, type ISubscriptionGrant, type MqttClient } from 'mqtt'
import { writeToStream } from 'mqtt-packet'
import { createFlights } from './flights.ts'
import type { Inbox } from './inbox.ts'
import { LinkError, type LinkLimits, type LinkOptions, type PublishOptions } from './terms.ts'

/** mqtt-packet would make a buffer for each of the 65,536 numbers before the first packet: 9 MiB of a small board's memory. */
writeToStream.cacheNumbers = false

/** The portable subset: AWS IoT Core takes eight filters in one SUBSCRIBE. */
const FILTERS_PER_SUBSCRIBE = 8
const KEEPALIVE_S = 30
/** 3.1.1 is spoken by every engine. MQTT 5 would be tried here, with 3.1.1 as the fallback on refusal and on silence. */
const PROTOCOL_VERSION = 4
const SUBSCRIPTION_REFUSED = 0x80

export interface Connection {
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

type Refuse = (reason: LinkError) => void

const asBuffer = (payload: string | Uint8Array): string | Buffer =>
  typeof payload === 'string' || Buffer.isBuffer(payload)
    ? payload
    : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)

/** mqtt.js leaves Nagle on: with delayed ACKs a QoS 1 round trip then takes 20 ms, not 2. (ws turns it off by itself.) */
function setNoDelay({ stream }: MqttClient): void {
  if ('setNoDelay' in stream && typeof stream.setNoDelay === 'function') stream.setNoDelay(true)
}

/** Passes each PUBLISH to the inbox and lets mqtt.js read on; the PUBACK (the same four bytes in 3.1.1 and 5) is ours. */
function feedInbox(client: MqttClient, inbox: Inbox): void {
  const { stream } = client
  /** Given an error, mqtt.js leaves its own PUBACK out and goes on with the next packet. */
  const acknowledgedByInbox = new Error('acknowledged by the inbox')
  client.handleMessage = ({ topic, payload, retain, qos, messageId = 0 }, next) => {
    const acknowledge = (): void => {
      if (!stream.destroyed) stream.write(Buffer.of(0x40, 0x02, messageId >> 8, messageId & 0xff))
    }
    inbox.receive({
      topic,
      payload: Buffer.isBuffer(payload) ? payload : Buffer.from(payload),
      retain,
      ...(qos > 0 && { acknowledge }),
      readOn: () => next(qos > 0 ? acknowledgedByInbox : undefined),
    })
  }
}

/** The QoS granted to each topic (0x80 = refused), or undefined when the connection ended first. */
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
      if (grants[i] === SUBSCRIPTION_REFUSED)
        refuse(new LinkError('subscription-refused', `the broker refused the subscription to ${topic}`))
  }
  return true
}

function openClient(options: LinkOptions, limits: LinkLimits): MqttClient {
  const { url, clientId, username, password, will } = options
  return connect(url, {
    clientId,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: typeof password === 'function' ? password() : password }),
    ...(will && { will: { ...will, payload: Buffer.from(will.payload) } }),
    protocolVersion: PROTOCOL_VERSION,
    clean: true,
    keepalive: KEEPALIVE_S,
    connectTimeout: limits.connectMs,
    reconnectPeriod: 0,
    queueQoSZero: false,
    resubscribe: false,
  })
}

export function openConnection(options: LinkOptions, limits: LinkLimits, inbox: Inbox, refuse: Refuse): Connection {
  const client = openClient(options, limits)
  const flights = createFlights(limits.pubackMs, end)
  const ready = Promise.withResolvers<boolean>()
  const ended = Promise.withResolvers<LinkError>()
  let state: 'opening' | 'up' | 'finishing' | 'over' = 'opening'
  setNoDelay(client)
  feedInbox(client, inbox)

  function end(reason: LinkError): void {
    if (state === 'over') return
    state = 'over'
    // Before mqtt.js ends them with a reason of its own.
    flights.rejectAll(reason)
    client.end(true)
    ready.resolve(false)
    ended.resolve(reason)
  }

  client.on('error', (error) => {
    const refused = 'code' in error && typeof error.code === 'number'
    const reason = new LinkError(refused ? 'refused' : 'unreachable', error.message, { cause: error })
    if (refused && state === 'opening') refuse(reason)
    end(reason)
  })
  client.on('close', () => end(new LinkError('disconnected', `the connection to ${options.url} was closed`)))
  client.on('connect', async () => {
    const subscribed = await subscribeAll(client, options.subscriptions, refuse)
    if (!subscribed) return end(new LinkError('unreachable', `no answer to SUBSCRIBE from ${options.url}`))
    if (state !== 'opening') return
    state = 'up'
    ready.resolve(true)
  })

  return {
    get up() {
      return state === 'up'
    },
    get inFlight() {
      return flights.size
    },
    ready: ready.promise,
    ended: ended.promise,
    async publish(topic, payload, { qos, retain = false }) {
      if (qos === 0 && client.stream.writableLength > limits.backlogBytes)
        throw new LinkError('backlog', `${client.stream.writableLength} bytes wait to be sent to ${options.url}`)
      const send = (landed: (error?: Error) => void): void => {
        client.publish(topic, asBuffer(payload), { qos, retain }, landed)
      }
      // At least one byte: an empty payload is waited for like any other.
      return flights.add(send, qos === 1 ? Math.max(1, payload.length) : undefined)
    },
    async finish() {
      const closed = new LinkError('closed', 'the link was closed')
      if (state === 'opening') end(closed)
      if (state === 'up') state = 'finishing'
      const timer = setTimeout(() => end(closed), limits.closeMs)
      // mqtt.js waits for the PUBACKs in flight before it says DISCONNECT.
      if (state !== 'over') client.end()
      await ended.promise
      clearTimeout(timer)
    },
  }
}
