import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  CredentialClaims,
  consoleGrants,
  deviceGrants,
  deviceIdOf,
  publicKeyFromRaw,
  rawPublicKey,
  requesterGrants,
} from '../../../broker/protocol/credentials.ts'
import { isTopicLevel } from '../../../broker/protocol/topics.ts'

describe('credentials', () => {
  it('a device id is a topic level that follows from the key alone', () => {
    const key = new Uint8Array(32).fill(7)
    expect(deviceIdOf(key)).toBe(deviceIdOf(Uint8Array.from(key)))
    const ids = new Set(Array.from({ length: 500 }, () => deviceIdOf(randomBytes(32))))
    expect(ids.size).toBe(500)
    for (const id of ids) {
      expect(id).toMatch(/^dev-[a-z2-7]{16}$/)
      expect(isTopicLevel(id)).toBe(true)
    }
  })

  it('the device id of a known key never changes: boards are known by it', () => {
    expect(deviceIdOf(new Uint8Array(32))).toBe('dev-mzuhvlpymk6xo3ep')
  })

  it('a raw public key and a key object turn into each other', () => {
    const { publicKey } = generateKeyPairSync('ed25519')
    const raw = rawPublicKey(publicKey)
    expect(raw.byteLength).toBe(32)
    expect(publicKeyFromRaw(raw).equals(publicKey)).toBe(true)
  })

  it('every grant is a claim that a JWT may carry', () => {
    const acl = [...deviceGrants('dev-a'), ...requesterGrants('r', ['dev-a']), ...consoleGrants()]
    expect(CredentialClaims.safeParse({ sub: 'x', exp: 1, iat: 1, role: 'device', acl }).success).toBe(true)
    expect(CredentialClaims.safeParse({ sub: 'x', exp: 1, iat: 1, role: 'admin', acl }).success).toBe(false)
  })

  it('an owner without boards has only its own topics', () => {
    expect(requesterGrants('r').every(({ topic }) => topic.startsWith('bramble/1/r/r/'))).toBe(true)
  })
})
