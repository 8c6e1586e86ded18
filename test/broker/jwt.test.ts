import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { SignJWT } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createIssuer, createVerifier, keysOf, keysOfConsole } from '../../broker/jwt.ts'
import { deviceGrants } from '../../broker/protocol/credentials.ts'

const ec = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const START = Date.parse('2026-11-22T12:00:00.500Z')
const claims = { sub: 'dev-a', role: 'device' as const, acl: deviceGrants('dev-a') }

function open(privateKey = ec()) {
  let now = START
  const issuer = createIssuer({ privateKey, now: () => now })
  const verify = createVerifier({ keys: keysOf(issuer.jwks()), now: () => now })
  const later = (ms: number): void => {
    now += ms
  }
  return { issuer, verify, later }
}

describe('credentials as JWT', () => {
  it('what was issued verifies to who it is, what it may, and until when', async () => {
    const { issuer, verify } = open()
    const { jwt, expiresAt } = await issuer.issue(claims, 60_000)
    expect(expiresAt).toBe(Date.parse('2026-11-22T12:01:00.000Z'))
    expect(await verify('dev-a', jwt)).toEqual({ role: 'device', id: 'dev-a', grants: claims.acl, expiresAt })
  })

  it('is nobody for another username, after its end, and when a letter is changed', async () => {
    const { issuer, verify, later } = open()
    const { jwt } = await issuer.issue(claims, 60_000)
    expect(await verify('dev-b', jwt)).toBeUndefined()
    const [header, payload, signature] = jwt.split('.')
    const forged = Buffer.from(JSON.stringify({ ...claims, iat: 1, exp: 9e9, sub: 'dev-b' })).toString('base64url')
    expect(await verify('dev-b', `${header}.${forged}.${signature}`)).toBeUndefined()
    for (const text of ['', 'x', 'a.b.c', `${header}.${payload}.`, `${jwt}x`])
      expect(await verify('dev-a', text)).toBeUndefined()
    later(59_000)
    expect(await verify('dev-a', jwt)).toBeDefined()
    later(1_000)
    expect(await verify('dev-a', jwt)).toBeUndefined()
  })

  it('is nobody when another key signed it, also under the right key id', async () => {
    const { issuer, verify } = open()
    const { jwt } = await open().issuer.issue(claims, 60_000)
    expect(await verify('dev-a', jwt)).toBeUndefined()
    const exp = Math.floor(START / 1000) + 60
    const forged = await new SignJWT({ ...claims, iat: exp - 60, exp })
      .setProtectedHeader({ alg: 'ES256', kid: issuer.jwks().keys[0]!.kid! })
      .sign(ec())
    expect(await verify('dev-a', forged)).toBeUndefined()
  })

  it('is nobody under the algorithms none and HS256 with the public key as the secret', async () => {
    const { issuer, verify } = open()
    const body = Buffer.from(JSON.stringify({ ...claims, iat: 1, exp: 9_999_999_999 })).toString('base64url')
    const part = (header: object) => `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${body}`
    expect(await verify('dev-a', `${part({ alg: 'none' })}.`)).toBeUndefined()
    const text = part({ alg: 'HS256', kid: issuer.jwks().keys[0]!.kid })
    const secret = JSON.stringify(issuer.jwks().keys[0])
    expect(
      await verify('dev-a', `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`),
    ).toBeUndefined()
  })

  it('is nobody when the claims are not those of a credential, although the console signed them', async () => {
    const privateKey = ec()
    const { issuer, verify } = open(privateKey)
    const kid = issuer.jwks().keys[0]!.kid!
    const exp = Math.floor(START / 1000) + 60
    for (const odd of [{ sub: 'dev-a' }, { ...claims, role: 'admin' }, { ...claims, acl: [{ permission: 'deny' }] }]) {
      const jwt = await new SignJWT({ ...odd, iat: exp, exp })
        .setProtectedHeader({ alg: 'ES256', kid })
        .sign(privateKey)
      expect(await verify('dev-a', jwt)).toBeUndefined()
    }
  })

  it('the published keys hold no private part and a stable id', () => {
    const privateKey = ec()
    const [jwk] = open(privateKey).issuer.jwks().keys
    expect(Object.keys(jwk!).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    expect(open(privateKey).issuer.jwks().keys[0]!.kid).toBe(jwk!.kid)
    expect(() => createIssuer({ privateKey: generateKeyPairSync('ed25519').privateKey, now: () => 0 })).toThrow('P-256')
  })

  it('keys are fetched from the console, and a console that does not answer is not a wrong credential', async () => {
    const { issuer } = open()
    let status = 503
    const server = createServer((request, response) => {
      expect(request.url).toBe('/.well-known/jwks.json')
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(issuer.jwks()))
    }).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
    const verify = createVerifier({ keys: keysOfConsole(url), now: () => START })
    const { jwt } = await issuer.issue(claims, 60_000)
    await expect(verify('dev-a', jwt)).rejects.toThrow()
    status = 200
    expect(await verify('dev-a', jwt)).toMatchObject({ id: 'dev-a' })
    expect(await verify('dev-a', 'nonsense')).toBeUndefined()
  })
})
