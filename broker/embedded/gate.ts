// Decides whether a client that said CONNECT may come in, and as whom.
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import { mayPublish } from '../acl.ts'
import type { Principal } from '../protocol/credentials.ts'
import { isTopicLevel } from '../protocol/topics.ts'
import type { Refusal } from './counters.ts'
import type { BrokerLimits } from './limits.ts'
import type { Peer } from './peer.ts'
import { keyOf, type Peers } from './peers.ts'

/** Who this is, or undefined when the credential is wrong or expired. */
export type Authenticate = (username: string, password: Buffer, clientId: string) => Promise<Principal | undefined>

/** MQTT 3.1.1 CONNACK return codes. */
const RETURN_CODE: Readonly<Partial<Record<Refusal, number>>> = {
  'bad-client-id': 2,
  'authentication-failed': 3,
  'user-connections-full': 3,
  'bad-credential': 4,
  'credential-expired': 4,
  'will-not-permitted': 5,
}
const NOT_AUTHORISED = 5

export const returnCodeOf = (refusal: Refusal): number => RETURN_CODE[refusal] ?? NOT_AUTHORISED

const CLIENT_ID_BYTES = 256

export interface GateDeps {
  readonly authenticate: Authenticate
  readonly peers: Peers
  readonly limits: Pick<BrokerLimits, 'connectMs' | 'connectionsPerUser'>
  readonly log: Logger
  readonly now: () => number
}

/** Undefined when the client was let in; the peer then carries its principal. */
export type Gate = (peer: Peer, password: Buffer) => Promise<Refusal | undefined>

export function createGate({ authenticate, peers, limits, log, now }: GateDeps): Gate {
  async function identify(
    { username, clientId }: Peer,
    password: Buffer,
  ): Promise<Principal | undefined | 'no-answer'> {
    const given = new AbortController()
    try {
      return await Promise.race([
        authenticate(username, password, clientId),
        wait(limits.connectMs, 'no-answer' as const, { signal: given.signal }),
      ])
    } catch (error) {
      log.error({ username, err: error }, 'a credential could not be checked')
      return 'no-answer'
    } finally {
      given.abort()
    }
  }

  function refusalOf(peer: Peer, principal: Principal): Refusal | undefined {
    const { username, clientId, willTopic } = peer
    if (principal.id !== username) return 'bad-credential'
    if (principal.expiresAt !== undefined && principal.expiresAt <= now()) return 'credential-expired'
    if (principal.role === 'device' && clientId !== principal.id) return 'bad-client-id'
    if (willTopic !== undefined && !mayPublish(principal, willTopic)) return 'will-not-permitted'
    // Somebody who comes back under the same client id replaces the old connection and needs no new place.
    const returns = peers.ofKey(keyOf(username, clientId)) !== undefined
    return !returns && peers.connectionsOf(username) >= limits.connectionsPerUser ? 'user-connections-full' : undefined
  }

  return async (peer, password) => {
    // The id becomes topic levels and part of a key, so its alphabet is checked before anything else looks at it.
    if (!isTopicLevel(peer.username)) return 'bad-credential'
    if (Buffer.byteLength(peer.clientId) > CLIENT_ID_BYTES) return 'bad-client-id'
    const principal = await identify(peer, password)
    if (principal === 'no-answer') return 'authentication-failed'
    if (!principal) return 'bad-credential'
    const refusal = refusalOf(peer, principal)
    if (!refusal) peers.authenticated(peer, principal)
    return refusal
  }
}
