// Who a client is and what it may say: the grants behind both the embedded broker's ACL and the `acl` claim of a JWT
// (the form EMQX reads). Deny is the default: what is not granted here is refused.
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { DEFAULT_ROOT } from './topics.ts'

export const Grant = z.object({
  permission: z.literal('allow'),
  action: z.enum(['publish', 'subscribe']),
  /** An MQTT topic filter. */
  topic: z.string(),
})
export type Grant = z.infer<typeof Grant>

/** Claims of a console-signed ES256 JWT, used as the MQTT password. `sub` must equal the username. */
export const CredentialClaims = z.object({
  sub: z.string(),
  exp: z.number(),
  iat: z.number(),
  role: z.enum(['device', 'requester', 'console']),
  acl: z.array(Grant),
})
export type CredentialClaims = z.infer<typeof CredentialClaims>

export interface Principal {
  readonly role: 'device' | 'requester' | 'console'
  /** Device or requester id, equal to the MQTT username. */
  readonly id: string
  readonly grants: readonly Grant[]
  /** Epoch milliseconds after which the connection is no longer trusted. */
  readonly expiresAt?: number
}

const allow = (action: Grant['action'], topics: readonly string[]): Grant[] =>
  topics.map((topic) => ({ permission: 'allow', action, topic }))

/** A device speaks for itself only, and hears what is addressed to it. */
export const deviceGrants = (device: string, root = DEFAULT_ROOT): Grant[] => [
  ...allow('publish', [
    `${root}/d/${device}/out/#`,
    `${root}/d/${device}/status`,
    `${root}/d/${device}/info`,
    `${root}/d/${device}/hb`,
    `${root}/d/${device}/vitals`,
    `${root}/d/${device}/img/#`,
    `${root}/d/${device}/res/#`,
    `${root}/d/${device}/receipts`,
    `homeassistant/device/${device}/config`,
  ]),
  ...allow('subscribe', [`${root}/d/${device}/in/#`, `${root}/d/${device}/cmd/#`, `${root}/d/${device}/ack`]),
]

/** A requester has `r/{self}`; as an owner's pipeline it may also feed and read that owner's boards. */
export const requesterGrants = (requester: string, ownBoards: readonly string[] = [], root = DEFAULT_ROOT): Grant[] => [
  ...allow('publish', [`${root}/r/${requester}/in/#`]),
  ...allow('subscribe', [`${root}/r/${requester}/out/#`, `${root}/r/${requester}/ack/#`]),
  ...ownBoards.flatMap((device) => [
    ...allow('publish', [`${root}/d/${device}/in/#`]),
    ...allow(
      'subscribe',
      ['out/#', 'img/#', 'status', 'hb', 'vitals'].map((what) => `${root}/d/${device}/${what}`),
    ),
  ]),
]

export const consoleGrants = (root = DEFAULT_ROOT): Grant[] => [
  ...allow('publish', [`${root}/#`]),
  ...allow('subscribe', [`${root}/#`]),
]

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

function base32(bytes: Uint8Array): string {
  let bits = 0n
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte)
  let text = ''
  for (let shift = BigInt(bytes.byteLength * 8 - 5); shift >= 0n; shift -= 5n)
    text += BASE32[Number((bits >> shift) & 31n)]
  return text
}

/** `dev-` and 80 bits of the key's sha256: short enough to read, too long to collide or to be chosen. */
export const deviceIdOf = (publicKeyRaw: Uint8Array): string =>
  `dev-${base32(createHash('sha256').update(publicKeyRaw).digest().subarray(0, 10))}`

const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** A node:crypto key from the 32 raw bytes of an Ed25519 public key. */
export const publicKeyFromRaw = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' })

/** The 32 raw bytes of an Ed25519 public key. */
export const rawPublicKey = (key: KeyObject): Uint8Array =>
  new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.byteLength))
