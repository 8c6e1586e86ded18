import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createIssuer, createVerifier, keysOf } from '../../broker/jwt.ts'
import { deviceIdOf, rawPublicKey } from '../../broker/protocol/credentials.ts'
import { createChallenges } from '../../console/fleet/challenges.ts'
import { createDevices, type Devices } from '../../console/fleet/devices.ts'
import { createEnrolment } from '../../console/fleet/enrolment.ts'
import { nameOf } from '../../console/fleet/names.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'

interface Key {
  readonly publicKey: string
  readonly device: string
  prove(text: string): string
}

function newKey(): Key {
  const { privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject } = generateKeyPairSync('ed25519')
  const raw = rawPublicKey(publicKey)
  return {
    publicKey: Buffer.from(raw).toString('base64url'),
    device: deviceIdOf(raw),
    prove: (text) => sign(null, Buffer.from(text), privateKey).toString('base64url'),
  }
}

const START = Date.parse('2026-11-22T12:00:00Z')

describe('enrolment', () => {
  let folder: string
  let store: Store
  let devices: Devices
  let now: number
  let enrolment: ReturnType<typeof createEnrolment>
  const signing = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const clock = (): number => now
  const issuer = createIssuer({ privateKey: signing, now: clock })
  const challenges = createChallenges({ now: clock, randomBytes })

  beforeEach(async () => {
    now = START
    folder = await mkdtemp(join(tmpdir(), 'bramble-enrol-'))
    store = await openDatabase(join(folder, 'console.db'))
    for (const id of ['demo', 'other'])
      await store.db.insertInto('owners').values({ id, name: id, created_at: now }).execute()
    devices = await createDevices({ db: store.db, now: clock, emit: () => undefined, onGone: () => undefined })
    enrolment = createEnrolment({
      db: store.db,
      now: clock,
      randomBytes,
      challenges,
      issuer,
      mqtt: { url: 'mqtt://127.0.0.1:1883', root: 'bramble/1' },
      add: devices.add,
      boardOf: devices.get,
    })
  })
  afterEach(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })

  const mint = (uses = 1, owner = 'demo') => enrolment.mint({ owner, label: 'board', uses, expiresInS: 3600 })
  const enrol = (key: Key, token: string, name?: string) =>
    enrolment.enrol({ token, publicKey: key.publicKey, proof: key.prove(`bramble-enroll:${token}`), name })

  it('lets a board in by a one-time token and its signature, with a credential that any broker can check', async () => {
    const key = newKey()
    const { token } = await mint()
    const answer = await enrol(key, token)
    expect(answer).toMatchObject({ ok: true, credential: { device: key.device, name: nameOf(key.device) } })
    if (!answer.ok) return
    const verify = createVerifier({ keys: keysOf(issuer.jwks()), now: clock })
    expect(await verify(key.device, answer.credential.credential)).toMatchObject({ role: 'device', id: key.device })
    expect(await verify('dev-other', answer.credential.credential)).toBeUndefined()
    expect(devices.get(key.device)?.ownerId).toBe('demo')
  })

  it('calls a board what its owner calls it, with a number where that name is taken', async () => {
    const [first, second] = [newKey(), newKey()]
    const { token } = await mint(3)
    expect(await enrol(first, token, 'porch')).toMatchObject({ credential: { name: 'porch' } })
    expect(await enrol(second, token, 'porch')).toMatchObject({ credential: { name: 'porch-2' } })
    expect(await enrol(second, token, 'other')).toMatchObject({ credential: { name: 'porch-2' } })
  })

  it('keeps no token, only its hash', async () => {
    const { token } = await mint()
    const rows = await store.db.selectFrom('enrollment_tokens').selectAll().execute()
    expect(JSON.stringify(rows)).not.toContain(token)
    expect(rows[0]?.token_hash).toBe(createHash('sha256').update(token).digest('hex'))
    expect(Buffer.from(token.slice('bre_'.length), 'base64url').byteLength).toBe(32)
  })

  it('refuses a token that was used, even when two boards come with it at once', async () => {
    const { token } = await mint()
    const answers = await Promise.all([enrol(newKey(), token), enrol(newKey(), token)])
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1)
    expect(answers.find(({ ok }) => !ok)).toMatchObject({ refusal: { code: 'used-token' } })
    expect(devices.list()).toHaveLength(1)
  })

  it('lets as many boards in as a fleet token says', async () => {
    const { token } = await mint(3)
    const answers = []
    for (let board = 0; board < 4; board++) answers.push(await enrol(newKey(), token))
    expect(answers.map(({ ok }) => ok)).toEqual([true, true, true, false])
  })

  it('takes no second use of a fleet token for a board that comes again, as after a lost answer', async () => {
    const { token } = await mint(2)
    const [first, second] = [newKey(), newKey()]
    for (let attempt = 0; attempt < 3; attempt++) expect(await enrol(first, token)).toMatchObject({ ok: true })
    expect(await enrol(second, token)).toMatchObject({ ok: true, credential: { device: second.device } })
    expect(await enrol(newKey(), token)).toMatchObject({ refusal: { code: 'used-token' } })
    expect(await enrol(first, token)).toMatchObject({ ok: true })
  })

  it('refuses an expired token and an unknown one', async () => {
    const { token } = await mint()
    now += 3_600_001
    expect(await enrol(newKey(), token)).toMatchObject({ refusal: { code: 'expired-token' } })
    expect(await enrol(newKey(), 'x'.repeat(43))).toMatchObject({ refusal: { code: 'unknown-token' } })
  })

  it('makes tokens that no command line takes for an option', async () => {
    // 0xf8 is the byte whose base64url begins with "-".
    const dashes = createEnrolment({
      db: store.db,
      now: clock,
      randomBytes: (size) => Buffer.alloc(size, 0xf8),
      challenges,
      issuer,
      mqtt: { url: 'mqtt://127.0.0.1:1883', root: 'bramble/1' },
      add: devices.add,
      boardOf: devices.get,
    })
    const { token } = await dashes.mint({ owner: 'demo', label: 'board', uses: 1, expiresInS: 60 })
    expect(token).toMatch(/^bre_-/)
  })

  it('refuses a forged proof without using up the token', async () => {
    const { token } = await mint()
    const [mine, theirs] = [newKey(), newKey()]
    const forged = { token, publicKey: theirs.publicKey, proof: mine.prove(`bramble-enroll:${token}`) }
    expect(await enrolment.enrol(forged)).toMatchObject({ refusal: { code: 'bad-proof' } })
    const otherToken = { token, publicKey: mine.publicKey, proof: mine.prove('bramble-enroll:another') }
    expect(await enrolment.enrol(otherToken)).toMatchObject({ refusal: { code: 'bad-proof' } })
    expect(await enrol(mine, token)).toMatchObject({ ok: true })
  })

  it('knows a board again by its key: same id, same name, no second row', async () => {
    const key = newKey()
    await enrol(key, (await mint()).token)
    const again = await enrol(key, (await mint()).token)
    expect(again).toMatchObject({ ok: true, credential: { device: key.device, name: nameOf(key.device) } })
    expect(await store.db.selectFrom('devices').selectAll().execute()).toHaveLength(1)
  })

  it('answers a board again that lost the answer to its token, but not one that was removed', async () => {
    const key = newKey()
    const { token } = await mint()
    await enrol(key, token)
    expect(await enrol(key, token)).toMatchObject({ ok: true, credential: { device: key.device } })
    expect(await enrol(newKey(), token)).toMatchObject({ refusal: { code: 'used-token' } })
    await store.db.updateTable('devices').set({ removed_at: now }).execute()
    expect(await enrol(key, token)).toMatchObject({ refusal: { code: 'used-token' } })
  })

  it("does not hand a board to another owner, and leaves that owner's token unused", async () => {
    const key = newKey()
    await enrol(key, (await mint()).token)
    const { token } = await mint(1, 'other')
    expect(await enrol(key, token)).toMatchObject({ refusal: { code: 'foreign-board' } })
    expect(await enrol(newKey(), token)).toMatchObject({ ok: true })
  })

  it('gives another name when the first one is taken', async () => {
    const key = newKey()
    await store.db
      .insertInto('devices')
      .values({ id: 'dev-old', name: nameOf(key.device), owner_id: 'demo', public_key: 'x', enrolled_at: now })
      .execute()
    expect(await enrol(key, (await mint()).token)).toMatchObject({ credential: { name: nameOf(key.device, 1) } })
  })

  describe('renewal', () => {
    const renew = (key: Key, challenge: string, device = key.device) =>
      enrolment.renew({ device, challenge, proof: key.prove(`bramble-renew:${device}:${challenge}`) })

    it('gives a fresh credential for a signed challenge, once', async () => {
      const key = newKey()
      await enrol(key, (await mint()).token)
      const challenge = challenges.make()
      now += 60_000
      const answer = await renew(key, challenge)
      expect(answer).toMatchObject({ ok: true })
      expect(answer.ok && Date.parse(answer.credential.expiresAt)).toBe(now + 30 * 86_400_000)
      expect(await renew(key, challenge)).toMatchObject({ refusal: { code: 'bad-challenge' } })
    })

    it('refuses an old challenge, a made-up one, and another key', async () => {
      const [key, other] = [newKey(), newKey()]
      await enrol(key, (await mint()).token)
      const challenge = challenges.make()
      expect(await renew(other, challenge, key.device)).toMatchObject({ refusal: { code: 'bad-proof' } })
      const [madeAt, nonce] = challenge.split('.')
      const forged = `${madeAt}.${nonce}x.${challenge.split('.')[2]}`
      expect(await renew(key, forged)).toMatchObject({ refusal: { code: 'bad-challenge' } })
      now += 120_001
      expect(await renew(key, challenge)).toMatchObject({ refusal: { code: 'bad-challenge' } })
    })

    it('refuses a board that never enrolled', async () => {
      expect(await renew(newKey(), challenges.make())).toMatchObject({ refusal: { code: 'bad-proof' } })
    })
  })
})
