import { verify } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readConfig } from '../../agent/config.ts'
import { type StoredCredential, writeCredential } from '../../agent/membership/credential.ts'
import { createConsole, EnrolError } from '../../agent/membership/enroll.ts'
import { type Identity, openIdentity } from '../../agent/membership/identity.ts'
import { createRenewal } from '../../agent/membership/renewal.ts'
import { openMembership } from '../../agent/membership.ts'
import { publicKeyFromRaw } from '../../broker/protocol/credentials.ts'

const DAY = 86_400_000
const START = Date.UTC(2026, 10, 22)
const log = pino({ level: 'silent' })

type Answer = { status: number; body: unknown }
let folder: string
let identity: Identity
let server: Server
let url: string
let answer: (path: string, body: Record<string, string>) => Answer

const read = async (request: IncomingMessage): Promise<string> => {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'enroll-'))
  identity = openIdentity(folder)
  server = createServer(async (request, response) => {
    const { status, body } = answer(request.url ?? '', JSON.parse((await read(request)) || '{}'))
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true })
})

const credentialFor = (device: string, more: object = {}) => ({
  device,
  name: 'calm-green-fox',
  credential: 'jwt-1',
  expiresAt: new Date(START + 30 * DAY).toISOString(),
  mqtt: { url: 'mqtt://127.0.0.1:1883', root: 'bramble/1' },
  ...more,
})
const isSigned = (text: string, proof: string): boolean =>
  verify(
    null,
    Buffer.from(text),
    publicKeyFromRaw(Buffer.from(identity.publicKey, 'base64url')),
    Buffer.from(proof, 'base64url'),
  )
const open = () => createConsole({ url, identity, now: () => START })
const faultOf = (work: Promise<unknown>): Promise<EnrolError> =>
  work.then(
    () => {
      throw new Error('expected a refusal')
    },
    (error: EnrolError) => error,
  )

describe('enrolment', () => {
  test('proves the key with the token and keeps what the console answers', async () => {
    answer = (path, { token = '', publicKey = '', proof = '' }) => {
      const good = path === '/enroll' && publicKey === identity.publicKey && isSigned(`bramble-enroll:${token}`, proof)
      return { status: good ? 200 : 400, body: credentialFor(identity.device) }
    }
    expect(await open().enrol('a-token-of-some-length')).toEqual({
      ...credentialFor(identity.device),
      console: url,
      obtainedAt: new Date(START).toISOString(),
    })
  })

  test('passes on the sentence of a console that refuses', async () => {
    answer = () => ({
      status: 403,
      body: { error: { code: 'token-expired', message: 'the token expired an hour ago' } },
    })
    const error = await faultOf(open().enrol('a-token-of-some-length'))
    expect(error).toBeInstanceOf(EnrolError)
    expect(error).toMatchObject({ code: 'refused' })
    expect(error.message).toContain('the token expired an hour ago')
  })

  test('says when the console is not there', async () => {
    await new Promise((resolve) => server.close(resolve))
    const error = await faultOf(open().enrol('a-token-of-some-length'))
    expect(error).toMatchObject({ code: 'unreachable' })
    expect(error.message).toMatch(/ECONNREFUSED.*is it running/)
    server.listen(0)
  })

  test('does not take a web page, a struggling console or another board for an answer', async () => {
    answer = () => ({ status: 200, body: '<html>' })
    expect(await faultOf(open().enrol('a-token-of-some-length'))).toMatchObject({ code: 'bad-answer' })
    // A router, or a network that wants a login first.
    answer = () => ({ status: 404, body: '<html>' })
    expect(await faultOf(open().enrol('a-token-of-some-length'))).toMatchObject({ code: 'bad-answer' })
    answer = () => ({ status: 503, body: {} })
    expect(await faultOf(open().enrol('a-token-of-some-length'))).toMatchObject({ code: 'unreachable' })
    answer = () => ({ status: 200, body: credentialFor('dev-other') })
    expect(await faultOf(open().enrol('a-token-of-some-length'))).toMatchObject({ code: 'bad-answer' })
    expect(() => createConsole({ url: 'nonsense', identity, now: () => START })).toThrow(/http:\/\/host:8080/)
  })
})

describe('renewal', () => {
  const signedChallenge = (
    path: string,
    { device = '', challenge = '', proof = '' }: Record<string, string>,
  ): Answer => {
    if (path === '/enroll/challenge') return { status: 200, body: { challenge: 'c-1' } }
    const good = path === '/enroll/renew' && challenge === 'c-1' && isSigned(`bramble-renew:${device}:c-1`, proof)
    const expiresAt = new Date(START + 60 * DAY).toISOString()
    return { status: good ? 200 : 401, body: credentialFor(identity.device, { credential: 'jwt-2', expiresAt }) }
  }

  function start(at: number, stop = new AbortController()) {
    const saved: StoredCredential[] = []
    const naps: number[] = []
    let now = at
    const credential = { ...credentialFor(identity.device), console: url, obtainedAt: new Date(START).toISOString() }
    const renewal = createRenewal({
      credential,
      renew: createConsole({ url, identity, now: () => now }).renew,
      save(renewed) {
        saved.push(renewed)
        stop.abort()
      },
      now: () => now,
      // Sleeping is what moves this clock, so a month passes at once.
      sleep: async (ms, signal) => {
        naps.push(ms)
        now += ms
        await new Promise((resolve) => setImmediate(resolve))
        if (naps.length > 100) throw new Error('sleeps for ever')
        if (signal.aborted) return
      },
      log,
    })
    return { renewal, saved, naps, now: () => now }
  }

  test('comes at two thirds of the life of the credential, with a signed challenge', async () => {
    answer = signedChallenge
    const stop = new AbortController()
    const { renewal, saved, now } = start(START, stop)
    await renewal.run(stop.signal)
    expect(now()).toBeGreaterThanOrEqual(START + 20 * DAY)
    expect(now()).toBeLessThan(START + 21 * DAY)
    expect(saved[0]).toMatchObject({ credential: 'jwt-2' })
    expect(renewal.current().credential).toBe('jwt-2')
  })

  test('ends at once when the board stops, also while the console says nothing', async () => {
    const asked = new Promise((resolve) => {
      server.removeAllListeners('request').once('request', resolve)
    })
    const stop = new AbortController()
    const { renewal, saved } = start(START + 25 * DAY)
    const running = renewal.run(stop.signal)
    await asked
    const from = performance.now()
    stop.abort()
    await running
    expect(performance.now() - from).toBeLessThan(2_000)
    expect(saved).toEqual([])
  })

  test('comes before connecting when the credential has expired', async () => {
    answer = signedChallenge
    const { renewal } = start(START + 31 * DAY)
    expect(await renewal.check()).toBe(true)
    expect(renewal.current().credential).toBe('jwt-2')
  })

  test('says where the broker is now', async () => {
    const moved = { mqtt: { url: 'mqtt://192.168.1.57:1883', root: 'bramble/1' } }
    answer = (path) => ({
      status: 200,
      body: path === '/enroll/challenge' ? { challenge: 'c-1' } : credentialFor(identity.device, moved),
    })
    const kept = { ...credentialFor(identity.device), console: url, obtainedAt: new Date(START).toISOString() }
    writeCredential(folder, kept)
    const config = readConfig({}, { data: folder })
    const now = () => START + 25 * DAY
    const { url: broker, renewal } = openMembership({ config, identity, now, sleep: async () => {}, log })
    expect(broker()).toBe('mqtt://127.0.0.1:1883')
    await renewal?.check()
    expect(broker()).toBe('mqtt://192.168.1.57:1883')
  })

  test('is not asked for early', async () => {
    answer = () => {
      throw new Error('asked')
    }
    expect(await start(START + 19 * DAY).renewal.check()).toBe(true)
  })

  test('that fails leaves a credential that still holds, and says so of one that does not', async () => {
    answer = () => ({ status: 503, body: {} })
    expect(await start(START + 25 * DAY).renewal.check()).toBe(true)
    expect(await start(START + 31 * DAY).renewal.check()).toBe(false)
    answer = () => ({ status: 403, body: { error: { message: 'this board was removed' } } })
    expect(await start(START + 25 * DAY).renewal.check()).toBe(true)
    await expect(start(START + 31 * DAY).renewal.check()).rejects.toThrow('this board was removed')
  })

  test('is asked for when the broker refuses a credential that looks good, but not of a fresh one', async () => {
    answer = signedChallenge
    const doubted = start(START + DAY)
    doubted.renewal.doubt()
    await doubted.renewal.check()
    expect(doubted.renewal.current().credential).toBe('jwt-2')
    const fresh = start(START + 1_000)
    fresh.renewal.doubt()
    await fresh.renewal.check()
    expect(fresh.renewal.current().credential).toBe('jwt-1')
  })
})
