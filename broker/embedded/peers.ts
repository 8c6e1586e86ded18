// The clients of the embedded broker: what each connection may send, who it turns out to be, and how it ends.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Logger } from 'pino'
import type { Principal } from '../protocol/credentials.ts'
import type { Counters, Refusal } from './counters.ts'
import type { Door } from './door.ts'
import { type GuardLimits, guardStream } from './guarded-stream.ts'
import type { Peer } from './peer.ts'
import type { SkippedPublish } from './skipped-publish.ts'

/** setTimeout's longest delay; a credential that lives longer is looked at again then. */
const LONGEST_TIMER_MS = 2 ** 31 - 1
/** Bytes of an HTTP upgrade and of WebSocket framing around a CONNECT. */
const UPGRADE_BYTES = 16 * 1024

export interface Peers {
  create(stream: Duplex, socket: Socket): Peer
  ofStream(stream: Duplex): Peer | undefined
  /** An authenticated one, by the id that aedes knows a client by. */
  ofKey(key: string): Peer | undefined
  authenticated(peer: Peer, principal: Principal): void
  connectionsOf(username: string): number
  kick(clientIdOrUsername: string): void
}

export interface PeersDeps {
  readonly door: Door
  readonly counters: Counters
  readonly limits: GuardLimits
  /** A PUBLISH over `packetBytes` went by unread. */
  readonly skipped: (peer: Peer, publish: SkippedPublish) => void
  readonly log: Logger
  readonly now: () => number
}

/** A username never holds a slash, so no two users share a key. */
export const keyOf = (username: string, clientId: string): string => `${username}/${clientId}`

function createPeer(stream: Duplex, socket: Socket, { counters, limits, log, skipped }: PeersDeps): Peer {
  const address = socket.remoteAddress ?? 'unknown'
  const guarded = guardStream(stream, limits, {
    violated: (reason, bytes) => peer.end(reason, { bytes }),
    skipped: (publish) => skipped(peer, publish),
  })
  const peer: Peer = {
    stream,
    socket,
    address,
    username: '',
    clientId: '',
    principal: undefined,
    willTopic: undefined,
    filters: new Set(),
    admit: guarded.admit,
    holdUntil: guarded.holdUntil,
    end(reason: Refusal, detail = {}) {
      if (stream.destroyed) return
      counters.refused[reason] += 1
      const { username, clientId } = peer
      log.warn({ address, username, clientId, reason, ...detail }, 'connection ended by the broker')
      stream.destroy()
    },
  }
  return peer
}

/** ws buffers a whole message before aedes can ask for a byte of it, so a WebSocket client's first bytes are counted here. */
function capUntilAdmitted({ socket, end }: Peer, { door, limits }: PeersDeps): void {
  const cap = limits.connectBytes + UPGRADE_BYTES
  const count = (): void => {
    if (!door.isPending(socket)) socket.off('data', count)
    else if (socket.bytesRead > cap) end('oversize', { bytes: socket.bytesRead })
  }
  socket.on('data', count)
}

function endAtExpiry(peer: Peer, expiresAt: number, now: () => number): void {
  const look = (): void => {
    if (now() >= expiresAt) peer.end('credential-expired')
    else endAtExpiry(peer, expiresAt, now)
  }
  const timer = setTimeout(look, Math.min(expiresAt - now(), LONGEST_TIMER_MS))
  timer.unref()
  peer.stream.once('close', () => clearTimeout(timer))
}

export function createPeers(deps: PeersDeps): Peers {
  const { door, now } = deps
  const byStream = new WeakMap<Duplex, Peer>()
  const byKey = new Map<string, Peer>()

  return {
    create(stream, socket) {
      const peer = createPeer(stream, socket, deps)
      byStream.set(stream, peer)
      if (stream !== socket) capUntilAdmitted(peer, deps)
      return peer
    },
    ofStream: (stream) => byStream.get(stream),
    ofKey: (key) => byKey.get(key),
    authenticated(peer, principal) {
      const key = keyOf(peer.username, peer.clientId)
      peer.principal = principal
      door.admitted(peer.socket)
      byKey.set(key, peer)
      peer.stream.once('close', () => {
        if (byKey.get(key) === peer) byKey.delete(key)
      })
      if (principal.expiresAt !== undefined) endAtExpiry(peer, principal.expiresAt, now)
      peer.admit()
    },
    connectionsOf: (username) => byKey.values().reduce((n, peer) => n + Number(peer.username === username), 0),
    kick(clientIdOrUsername) {
      for (const peer of byKey.values())
        if (peer.username === clientIdOrUsername || peer.clientId === clientIdOrUsername) peer.end('kicked')
    },
  }
}
