import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mayPublish, maySubscribe } from '../../broker/acl.ts'
import { createIssuer, createVerifier, keysOf } from '../../broker/jwt.ts'
import { deviceGrants } from '../../broker/protocol/credentials.ts'
import { createRequesters } from '../../console/market/requesters.ts'
import { createDoorkeeper } from '../../console/start/broker.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'

const ROOT = 'bramble/1'

describe('the doorkeeper', () => {
  let folder: string
  let store: Store
  let admit: ReturnType<typeof createDoorkeeper>
  let apiKey: string
  let now = Date.parse('2026-11-22T12:00:00Z')
  const clock = () => now
  const issuer = createIssuer({ privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, now: clock })
  const enrolled = new Set(['dev-a'])

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bramble-door-'))
    store = await openDatabase(join(folder, 'console.db'))
    await store.db.insertInto('owners').values({ id: 'ann', name: 'Ann', created_at: now }).execute()
    const board = { id: 'dev-a', name: 'owl', owner_id: 'ann', public_key: 'key', enrolled_at: now }
    await store.db.insertInto('devices').values(board).execute()
    const requesters = createRequesters({ db: store.db, now: clock, randomBytes })
    apiKey = (await requesters.create({ id: 'cam', name: 'Camera', ownerId: 'ann' })).key
    const verify = createVerifier({ keys: keysOf(issuer.jwks()), now: clock })
    admit = createDoorkeeper({ verify, requesters, isBoard: (id) => enrolled.has(id), root: ROOT })
  })
  afterAll(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })

  const credential = async (id: string) =>
    (await issuer.issue({ sub: id, role: 'device', acl: deviceGrants(id) }, 60_000)).jwt
  const enter = (username: string, password: string) => admit(username, Buffer.from(password))

  it('lets a board in by its credential, under its own name only', async () => {
    expect(await enter('dev-a', await credential('dev-a'))).toMatchObject({ role: 'device', id: 'dev-a' })
    expect(await enter('dev-b', await credential('dev-a'))).toBeUndefined()
  })

  it('keeps out a board that is not enrolled any more, and an expired credential', async () => {
    expect(await enter('dev-gone', await credential('dev-gone'))).toBeUndefined()
    const jwt = await credential('dev-a')
    now += 61_000
    expect(await enter('dev-a', jwt)).toBeUndefined()
  })

  it('lets a requester in by its API key, to its own topics and the boards of its owner', async () => {
    const principal = await enter('cam', apiKey)
    expect(principal).toMatchObject({ role: 'requester', id: 'cam' })
    if (!principal) return
    expect(mayPublish(principal, `${ROOT}/r/cam/in/mobilenet-v1/t1`)).toBe(true)
    expect(mayPublish(principal, `${ROOT}/d/dev-a/in/mobilenet-v1`)).toBe(true)
    expect(mayPublish(principal, `${ROOT}/r/other/in/mobilenet-v1/t1`)).toBe(false)
    expect(maySubscribe(principal, `${ROOT}/#`)).toBe(false)
  })

  it("keeps out a key under somebody else's name, a made-up key, and no key at all", async () => {
    expect(await enter('ann', apiKey)).toBeUndefined()
    expect(await enter('cam', `${apiKey}x`)).toBeUndefined()
    expect(await enter('cam', '')).toBeUndefined()
    expect(await enter('console', apiKey)).toBeUndefined()
  })
})
