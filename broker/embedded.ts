// The embedded broker: aedes 1.2.0 behind the guards that it lacks; the only importer of aedes. It keeps no sessions (every
// client is clean), and a publish that is not granted ends its connection: MQTT 3.1.1 has no other way to say no that
// a client notices (mosquitto acknowledges it and drops it in silence).
import './link/packet-memory.ts'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Aedes, type AedesOptions, type AuthenticateError } from 'aedes'
import type { Logger } from 'pino'
import { mayPublish, maySubscribe } from './acl.ts'
import { createAdmission } from './embedded/admission.ts'
import { createBacklog } from './embedded/backlog.ts'
import { type BrokerStats, type Counters, createCounters } from './embedded/counters.ts'
import { createDoor } from './embedded/door.ts'
import { type Authenticate, createGate, returnCodeOf } from './embedded/gate.ts'
import { BROKER_LIMITS, BrokerError, type BrokerLimits } from './embedded/limits.ts'
import { type Listener, listenTcp, listenWebSocket, urlHost } from './embedded/listen.ts'
import type { Peer } from './embedded/peer.ts'
import { createPeers, keyOf } from './embedded/peers.ts'
import { createRetained } from './embedded/retained.ts'
import type { SkippedPublish } from './embedded/skipped-publish.ts'
import type { Principal } from './protocol/credentials.ts'
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
  /**
   * A PUBLISH to a granted topic was larger than `packetBytes`: it was acknowledged and not delivered, and this is the place
   * to answer `too-large`. Without it such a client loses its connection.
   */
  readonly onTooLarge?: (sender: Principal, topic: string, bytes: number) => void
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

/** A packet that went by unread: its sender is told, unless the topic was not its own. */
function createTeller({ onTooLarge, log }: BrokerOptions, counters: Counters) {
  return (peer: Peer, { topic, bytes, packetId }: SkippedPublish): void => {
    const { principal, stream, username } = peer
    if (!principal || !mayPublish(principal, topic)) {
      peer.end('denied-publish', { topic })
      return
    }
    counters.tooLarge += 1
    log.info({ username, topic, bytes }, 'a publish was too large')
    if (packetId !== undefined) stream.write(Buffer.of(0x40, 0x02, packetId >> 8, packetId & 0xff))
    onTooLarge?.(principal, topic, bytes)
  }
}

function assemble(options: BrokerOptions, limits: BrokerLimits) {
  const { authenticate, log, now, root = DEFAULT_ROOT } = options
  const counters = createCounters()
  const door = createDoor(createAdmission(limits, now), counters, log)
  const guardLimits = options.onTooLarge ? limits : { ...limits, skippedBytes: 0 }
  const skipped = createTeller(options, counters)
  const peers = createPeers({ door, counters, limits: guardLimits, log, now, skipped })
  const retained = createRetained(limits, root)
  const gate = createGate({ authenticate, peers, limits, log, now })
  const stats = (): BrokerStats => ({
    ...counters,
    refused: { ...counters.refused },
    connections: door.open,
    retainedTopics: retained.topics,
  })
  return { log, limits, counters, door, peers, retained, gate, backlog: createBacklog(limits, counters), stats }
}
type Parts = ReturnType<typeof assemble>

/** Who comes in. Each hook finds the peer behind aedes' client and asks one of the modules above. */
function entryHooks({ peers, gate, counters, log }: Parts): AedesOptions {
  let unnamed = 0

  async function letIn(peer: Peer, password: Buffer, done: (error: AuthenticateError | null) => void): Promise<void> {
    const refusal = await gate(peer, password)
    if (!refusal) return done(null)
    const { address, username, clientId } = peer
    counters.refused[refusal] += 1
    log.warn({ address, username, clientId, reason: refusal }, 'connection refused')
    done(Object.assign(new Error(refusal), { returnCode: returnCodeOf(refusal) }))
  }

  return {
    // A client is known inside as username/clientId: two users never share a session, whatever ids they choose.
    preConnect(client, packet, done) {
      const peer = peers.ofStream(client.conn)
      if (!peer) return done(null, false)
      unnamed += packet.clientId ? 0 : 1
      peer.username = packet.username ?? ''
      peer.clientId = packet.clientId || `unnamed-${unnamed}`
      peer.willTopic = packet.will?.topic
      packet.clientId = keyOf(peer.username, peer.clientId)
      packet.clean = true
      done(null, true)
    },

    authenticate(client, _, password, done) {
      const peer = peers.ofStream(client.conn)
      if (peer) void letIn(peer, password ?? Buffer.alloc(0), (error) => done(error, error === null))
    },
  }
}

/** Who says what to whom. */
function trafficHooks({ peers, backlog, retained, counters, limits, log }: Parts): AedesOptions {
  return {
    authorizePublish(client, packet, done) {
      const peer = client ? peers.ofStream(client.conn) : undefined
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
      const peer = peers.ofStream(client.conn)
      const { topic } = subscription
      const room = peer && (peer.filters.has(topic) || peer.filters.size < limits.filtersPerConnection)
      if (room && peer.principal && maySubscribe(peer.principal, topic)) {
        peer.filters.add(topic)
        return done(null, subscription)
      }
      counters.deniedSubscribes += 1
      log.warn({ username: peer?.username, topic }, 'subscription refused')
      done(null, null)
    },

    authorizeForward(client, packet) {
      const subscriber = peers.ofStream(client.conn)
      const from =
        'clientId' in packet && typeof packet.clientId === 'string' ? peers.ofKey(packet.clientId) : undefined
      return subscriber && backlog.mayForward(subscriber, packet.qos, from) ? packet : null
    },
  }
}

async function openAedes(parts: Parts): Promise<Aedes> {
  const { limits, peers, log } = parts
  const aedes = await Aedes.createBroker({
    ...entryHooks(parts),
    ...trafficHooks(parts),
    connectTimeout: limits.connectMs,
    drainTimeout: limits.drainMs,
    maxInflightInbound: MAX_HALF_OPEN_QOS2,
    maxTopicLevels: MAX_TOPIC_LEVELS,
  })
  aedes.on('clientError', (client, error) => log.debug({ client: client.id, reason: error.message }, 'a client failed'))
  aedes.on('connectionError', (_, error) => log.debug({ reason: error.message }, 'a connection failed'))
  aedes.on('unsubscribe', (topics, client) => {
    for (const topic of topics) peers.ofStream(client.conn)?.filters.delete(topic)
  })
  return aedes
}

/** Rejects with BrokerError `port-taken`, `not-permitted` or `bad-address`, and leaves nothing open then. */
export async function startBroker(options: BrokerOptions): Promise<EmbeddedBroker> {
  const { host } = options
  const limits = { ...BROKER_LIMITS, ...options.limits }
  const parts = assemble(options, limits)
  const { door, peers, stats } = parts
  const aedes = await openAedes(parts)

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
