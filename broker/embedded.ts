// The embedded broker: aedes 1.2.0 behind the guards that it lacks; the only importer of aedes. It keeps no sessions (every
// client is clean), and a publish that is not granted ends its connection: MQTT 3.1.1 has no other way to say no that
// a client notices (mosquitto acknowledges it and drops it in silence).
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Aedes, type AedesOptions, type AuthenticateError, type Client } from 'aedes'
import type { Logger } from 'pino'
import { mayPublish, maySubscribe } from './acl.ts'
import { createAdmission } from './embedded/admission.ts'
import { createBacklog } from './embedded/backlog.ts'
import { type BrokerStats, createCounters } from './embedded/counters.ts'
import { createDoor } from './embedded/door.ts'
import { type Authenticate, createGate, returnCodeOf } from './embedded/gate.ts'
import { BROKER_LIMITS, BrokerError, type BrokerLimits } from './embedded/limits.ts'
import { type Listener, listenTcp, listenWebSocket, urlHost } from './embedded/listen.ts'
import type { Peer } from './embedded/peer.ts'
import { createPeers, keyOf } from './embedded/peers.ts'
import { createRetained } from './embedded/retained.ts'
import { DEFAULT_ROOT } from './protocol/topics.ts'

export { type Authenticate, BrokerError, type BrokerLimits, type BrokerStats }

export interface BrokerOptions {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** No WebSocket listener when absent; 0 picks a free one. */
  readonly wsPort?: number
  readonly authenticate: Authenticate
  readonly log: Logger
  readonly now: () => number
  readonly root?: string
  readonly limits?: Partial<BrokerLimits>
}

export interface EmbeddedBroker {
  readonly url: string
  readonly wsUrl: string | undefined
  readonly port: number
  stats(): BrokerStats
  /** Ends the connections of a client id or username, e.g. when its device was removed. */
  kick(clientIdOrUsername: string): void
  close(): Promise<void>
}

/** QoS 2 messages that a client may leave half-way; we speak QoS 0 and 1, and these are kept in memory. */
const MAX_HALF_OPEN_QOS2 = 16
const MAX_TOPIC_LEVELS = 16

/** aedes' hooks: each finds the peer behind aedes' client and asks one of the modules above. */
function createHooks(options: BrokerOptions, limits: BrokerLimits) {
  const { log, now, root = DEFAULT_ROOT } = options
  const counters = createCounters()
  const door = createDoor(createAdmission(limits, now), counters, log)
  const peers = createPeers({ door, counters, limits, log, now })
  const backlog = createBacklog(limits, counters)
  const retained = createRetained(limits, root)
  const gate = createGate({ authenticate: options.authenticate, peers, limits, log, now })
  let anonymous = 0

  const peerOf = (client: Client): Peer | undefined => peers.ofStream(client.conn)

  async function letIn(peer: Peer, password: Buffer, done: (error: AuthenticateError | null) => void): Promise<void> {
    const refusal = await gate(peer, password)
    if (!refusal) return done(null)
    const { address, username, clientId } = peer
    counters.refused[refusal] += 1
    log.warn({ address, username, clientId, reason: refusal }, 'connection refused')
    done(Object.assign(new Error(refusal), { returnCode: returnCodeOf(refusal) }))
  }

  const hooks: AedesOptions = {
    // A client is known inside as username/clientId: two users never share a session, whatever ids they choose.
    preConnect(client, packet, done) {
      const peer = peerOf(client)
      if (!peer) return done(null, false)
      peer.username = packet.username ?? ''
      anonymous += packet.clientId ? 0 : 1
      peer.clientId = packet.clientId || `unnamed-${anonymous}`
      peer.willTopic = packet.will?.topic
      packet.clientId = keyOf(peer.username, peer.clientId)
      packet.clean = true
      done(null, true)
    },

    authenticate(client, _, password, done) {
      const peer = peerOf(client)
      if (peer) void letIn(peer, password ?? Buffer.alloc(0), (error) => done(error, error === null))
    },

    authorizePublish(client, packet, done) {
      const peer = client ? peerOf(client) : undefined
      if (!peer) return done(null)
      if (!peer.principal || !mayPublish(peer.principal, packet.topic)) {
        peer.end('denied-publish', { topic: packet.topic })
        return done(new Error('denied-publish'))
      }
      counters.published += 1
      if (packet.retain && !retained.keep(packet.topic, packet.payload.length)) {
        counters.retainRefused += 1
        packet.retain = false
      }
      done(null)
    },

    authorizeSubscribe(client, subscription, done) {
      const peer = peerOf(client)
      const { topic } = subscription
      const granted =
        peer?.principal &&
        (peer.filters.has(topic) || peer.filters.size < limits.filtersPerConnection) &&
        maySubscribe(peer.principal, topic)
      if (granted) {
        peer.filters.add(topic)
        return done(null, subscription)
      }
      counters.deniedSubscribes += 1
      log.warn({ username: peer?.username, topic }, 'subscription refused')
      done(null, null)
    },

    authorizeForward(client, packet) {
      const subscriber = peerOf(client)
      const from =
        'clientId' in packet && typeof packet.clientId === 'string' ? peers.ofKey(packet.clientId) : undefined
      return subscriber && backlog.mayForward(subscriber, packet.qos, from) ? packet : null
    },
  }

  const stats = (): BrokerStats => ({
    ...counters,
    refused: { ...counters.refused },
    connections: door.open,
    retainedTopics: retained.topics,
  })
  return { hooks, door, peers, peerOf, stats }
}

async function openAedes(hooks: AedesOptions, limits: BrokerLimits): Promise<Aedes> {
  return Aedes.createBroker({
    ...hooks,
    connectTimeout: limits.connectMs,
    drainTimeout: limits.drainMs,
    maxInflightInbound: MAX_HALF_OPEN_QOS2,
    maxTopicLevels: MAX_TOPIC_LEVELS,
  })
}

/** Rejects with BrokerError `port-taken`, `not-permitted` or `bad-address`, and leaves nothing open then. */
export async function startBroker(options: BrokerOptions): Promise<EmbeddedBroker> {
  const { host, log } = options
  const limits = { ...BROKER_LIMITS, ...options.limits }
  const { hooks, door, peers, peerOf, stats } = createHooks(options, limits)
  const aedes = await openAedes(hooks, limits)
  aedes.on('clientError', (client, error) => log.debug({ client: client.id, reason: error.message }, 'a client failed'))
  aedes.on('connectionError', (_, error) => log.debug({ reason: error.message }, 'a connection failed'))
  aedes.on('unsubscribe', (topics, client) => {
    for (const topic of topics) peerOf(client)?.filters.delete(topic)
  })

  const serve = (stream: Duplex, socket: Socket): void => {
    peers.create(stream, socket)
    aedes.handle(stream)
  }
  const listeners: Listener[] = []
  async function close(): Promise<void> {
    const closed = listeners.map((listener) => listener.close())
    await new Promise<void>((resolve) => aedes.close(resolve))
    door.destroyAll()
    await Promise.all(closed)
  }

  try {
    const tcp = await listenTcp(host, options.port, door.enter, serve)
    listeners.push(tcp)
    const ws =
      options.wsPort === undefined ? undefined : await listenWebSocket(host, options.wsPort, limits, door.enter, serve)
    if (ws) listeners.push(ws)
    return {
      url: `mqtt://${urlHost(host)}:${tcp.port}`,
      wsUrl: ws && `ws://${urlHost(host)}:${ws.port}`,
      port: tcp.port,
      stats,
      kick: peers.kick,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
