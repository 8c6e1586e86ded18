// The parts of the registry by themselves: what outlives a restart, what a crash leaves, and the pure ones.
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { Hono } from 'hono'
import { afterAll, describe, expect, it } from 'vitest'
import { createIssuer, createVerifier, keysOf } from '../../broker/jwt.ts'
import { FLEET, openWishes } from '../../console/registry/desired.ts'
import { createNudges } from '../../console/registry/nudges.ts'
import { sliceOf } from '../../console/registry/range.ts'
import { openRegistry } from '../../console/registry/registry.ts'
import { requireBoard } from '../../console/routes/board-guard.ts'
import type { ModelPlace } from '../../console/routes/shapes.ts'
import { type PlacedBoard, placeOf, refusedBy, sentenceOf } from '../../console/routes/views/convergence.ts'
import { openDatabase } from '../../console/store/open.ts'
import { type Catalog, readPackage } from '../../models/catalog.ts'
import { makeFolder, makePackage, removeFolders } from './registry-rig.ts'
import { silent } from './running-console.ts'

afterAll(removeFolders)

const newKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey
const never = new AbortController().signal
const catalogOf = async (...folders: string[]): Promise<Catalog> => {
  const packages = await Promise.all(folders.map(readPackage))
  return { list: () => packages, resolve: () => undefined }
}

async function openAt(data: string, key: KeyObject, now: () => number = Date.now) {
  const store = await openDatabase(join(data, 'console.db'))
  const folder = join(data, 'registry')
  const published: string[] = []
  const registry = await openRegistry({
    db: store.db,
    folder,
    key,
    now,
    log: silent,
    published: async ({ release: { id, version } }) => void published.push(`${id}@${version}`),
  })
  const { shelf, publishers } = registry
  const wishes = await openWishes({ db: store.db, shelf, publishers, now, changed: () => undefined })
  return { store, registry, wishes, published, blobs: join(folder, 'blobs'), incoming: join(folder, 'incoming') }
}

describe('the registry', () => {
  it('has after a restart what it had before, takes nothing in twice, and goes on counting', async () => {
    const [data, key] = [await makeFolder(), newKey()]
    const catalog = await catalogOf(await makePackage('fashion', '1.0.0'), await makePackage('fashion', '1.1.0'))
    const first = await openAt(data, key)
    await first.registry.takeIn(catalog, new Set(), never)
    expect(first.published).toEqual(['fashion@1.0.0', 'fashion@1.1.0'])
    const old = first.registry.shelf.find('fashion', '1.0.0')!
    await first.wishes.set(FLEET, 'fashion', first.registry.shelf.find('fashion', '1.1.0')!.digest)
    await first.wishes.set('dev-a', 'fashion', old.digest)
    const told = [first.wishes.answer('dev-a'), first.wishes.answer('dev-b')]
    await first.store.close()

    const second = await openAt(data, key)
    await second.registry.takeIn(catalog, new Set(), never)
    expect(second.published).toEqual([])
    expect([second.wishes.answer('dev-a'), second.wishes.answer('dev-b')]).toEqual(told)
    expect(await second.wishes.rollBack('dev-a', 'fashion')).toMatchObject({ before: { digest: old.digest } })
    expect(second.wishes.answer('dev-a').revision).toBeGreaterThan(told[0]!.revision)
    await second.store.close()
  })

  it('mends what was lost from its disk out of the folder, and removes what a crash left half written', async () => {
    const [data, key] = [await makeFolder(), newKey()]
    const catalog = await catalogOf(await makePackage('fashion', '1.0.0'))
    const first = await openAt(data, key)
    await first.registry.takeIn(catalog, new Set(), never)
    await first.store.close()
    const whole = (await readdir(first.blobs)).sort()
    await rm(join(first.blobs, whole[0]!))
    await truncate(join(first.blobs, whole[1]!), 5)
    await writeFile(join(first.incoming, 'half'), 'half')

    const second = await openAt(data, key)
    expect(await readdir(second.incoming)).toEqual([])
    await second.registry.takeIn(catalog, new Set(), never)
    expect((await readdir(second.blobs)).sort()).toEqual(whole)
    expect((await readFile(join(second.blobs, whole[1]!))).byteLength).toBeGreaterThan(5)
    await second.store.close()
  })

  it('sweeps files that no release names, once they are a day old', async () => {
    const data = await makeFolder()
    const registry = await openAt(data, newKey())
    const stray = join(registry.blobs, 'a'.repeat(64))
    await writeFile(stray, 'left by an upload that was never finished')
    await registry.registry.takeIn(await catalogOf(await makePackage('fashion', '1.0.0')), new Set(), never)
    const kept = await readdir(registry.blobs)
    expect(kept).toContain('a'.repeat(64))
    await registry.store.close()
    const later = await openAt(data, newKey(), () => Date.now() + 2 * 86_400_000)
    await later.registry.takeIn(await catalogOf(), new Set(), never)
    expect((await readdir(later.blobs)).sort()).toEqual(kept.filter((name) => name !== 'a'.repeat(64)).sort())
    await later.store.close()
  })

  it('never gives a publisher another key: with a new key file it is another publisher, and the old releases stay good', async () => {
    const data = await makeFolder()
    const first = await openAt(data, newKey())
    await first.registry.takeIn(await catalogOf(await makePackage('fashion', '1.0.0')), new Set(), never)
    await first.store.close()
    const second = await openAt(data, newKey())
    expect([first.registry.own, second.registry.own]).toEqual([
      'operator',
      expect.stringMatching(/^operator-[0-9a-f]{8}$/),
    ])
    await second.registry.takeIn(await catalogOf(await makePackage('fashion', '1.1.0')), new Set(), never)
    expect(second.registry.shelf.list().map(({ release }) => release.publisher)).toEqual([
      second.registry.own,
      'operator',
    ])
    await second.store.close()
  })

  it('leaves a package alone whose files were changed under the same version', async () => {
    const [data, key] = [await makeFolder(), newKey()]
    const registry = await openAt(data, key)
    await registry.registry.takeIn(await catalogOf(await makePackage('fashion', '1.0.0')), new Set(), never)
    const [before] = registry.registry.shelf.list()
    const changed = await makePackage('fashion', '1.0.0')
    const manifest = JSON.parse(await readFile(join(changed, 'model.json'), 'utf8'))
    await writeFile(join(changed, 'model.json'), JSON.stringify({ ...manifest, title: 'Another title' }))
    await registry.registry.takeIn(await catalogOf(changed), new Set(), never)
    expect(registry.registry.shelf.list()).toEqual([before])
    await registry.store.close()
  })
})

describe('ranges', () => {
  const etag = '"e"'
  it('of any request are within the file, in order, or none at all', () => {
    const number = fc.oneof(fc.nat(30), fc.constant(''), fc.bigInt(0n, 2n ** 80n))
    const range = fc.oneof(
      fc.tuple(number, number).map(([a, b]) => `bytes=${a}-${b}`),
      fc.string(),
    )
    fc.assert(
      fc.property(range, fc.integer({ min: 1, max: 20 }), (text, size) => {
        const slice = sliceOf({ range: text }, etag, size)
        expect(['part', 'whole', 'unsatisfiable']).toContain(slice.kind)
        if (slice.kind !== 'part') return
        expect(slice.first).toBeGreaterThanOrEqual(0)
        expect(slice.last).toBeGreaterThanOrEqual(slice.first)
        expect(slice.last).toBeLessThan(size)
      }),
    )
  })
  it('are those of a slice, however they are written', () => {
    const bytes = Buffer.from('0123456789abcdefghij')
    fc.assert(
      fc.property(fc.nat(19), fc.nat(40), (first, last) => {
        const slice = sliceOf({ range: `bytes=${first}-${last}` }, etag, bytes.byteLength)
        expect(slice.kind).toBe(last < first ? 'whole' : 'part')
        if (last < first) return
        expect(slice.kind === 'part' && bytes.subarray(slice.first, slice.last + 1).toString()).toBe(
          bytes.subarray(first, last + 1).toString(),
        )
      }),
    )
  })
})

describe('the guard of boards', () => {
  const start = (limits: { perMinute: number; failuresPerMinute: number }) => {
    let now = Date.parse('2026-11-23T00:00:10Z')
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const issuer = createIssuer({ privateKey, now: () => now })
    const enrolled = new Set(['dev-a', 'dev-b'])
    let checks = 0
    const verify = createVerifier({ keys: keysOf(issuer.jwks()), now: () => now })
    const guard = requireBoard({
      verify: (name, jwt) => {
        checks += 1
        return verify(name, jwt)
      },
      isBoard: (id) => enrolled.has(id),
      now: () => now,
      addressOf: () => 'here',
      limits,
    })
    const app = new Hono<{ Variables: { device: string } }>().use(guard).get('/', (c) => c.text(c.get('device')))
    return {
      enrolled,
      checks: () => checks,
      pass: (ms: number) => {
        now += ms
      },
      token: async (sub: string, ms = 120_000) => (await issuer.issue({ sub, role: 'device', acl: [] }, ms)).jwt,
      ask: (token: string) => app.request('/', { headers: { authorization: `Bearer ${token}` } }),
    }
  }

  it('checks a signature once, and the time and the enrolment at every request', async () => {
    const { ask, token, checks, pass, enrolled } = start({ perMinute: 10, failuresPerMinute: 10 })
    const jwt = await token('dev-a')
    expect([await (await ask(jwt)).text(), await (await ask(jwt)).text(), checks()]).toEqual(['dev-a', 'dev-a', 1])
    enrolled.delete('dev-a')
    expect((await ask(jwt)).status).toBe(401)
    enrolled.add('dev-a')
    expect((await ask(jwt)).status).toBe(200)
    pass(121_000)
    expect((await ask(jwt)).status).toBe(401)
  })

  it('slows a board that asks too often, and no other', async () => {
    const { ask, token, pass } = start({ perMinute: 2, failuresPerMinute: 10 })
    const [a, b] = [await token('dev-a'), await token('dev-b')]
    expect([(await ask(a)).status, (await ask(a)).status]).toEqual([200, 200])
    const refused = await ask(a)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '50'])
    expect((await ask(b)).status).toBe(200)
    pass(50_000)
    expect((await ask(a)).status).toBe(200)
  })

  it('tells an address that guesses to stop, and still lets a board in that it knows', async () => {
    const { ask, token } = start({ perMinute: 10, failuresPerMinute: 2 })
    const good = await token('dev-a')
    expect((await ask(good)).status).toBe(200)
    const wrong = await Promise.all(
      [1, 2, 3].map((n) => ask(`a.${Buffer.from(`{"sub":"x${n}"}`).toString('base64url')}.c`)),
    )
    expect(wrong.map(({ status }) => status)).toEqual([401, 401, 429])
    expect((await ask(good)).status).toBe(200)
  })
})

describe('nudges', () => {
  it('go out a few at a time, each board once, and one that cannot be told holds up nobody', async () => {
    const heard: string[] = []
    const batches: number[] = []
    const nudges = createNudges({
      send: async (topic) => {
        if (topic.kind !== 'command') throw new Error('another topic')
        heard.push(topic.device)
        if (topic.device === 'dev-3') throw new Error('not connected')
      },
      newId: () => 'id',
      now: Date.now,
      sleep: async () => void batches.push(heard.length),
      stopping: never,
      log: silent,
    })
    nudges.add([])
    const boards = Array.from({ length: 50 }, (_, n) => `dev-${n}`)
    nudges.add(boards)
    nudges.add(boards.slice(40))
    await nudges.settled()
    expect(batches).toEqual([20, 40])
    expect(heard.toSorted()).toEqual([...boards].sort())
    nudges.add(['dev-3'])
    await nudges.settled()
    expect(heard).toHaveLength(51)
  })
})

describe('how far boards are', () => {
  const place = (state: ModelPlace['state'], rest: Partial<ModelPlace> = {}): ModelPlace => ({
    device: { id: 'd', name: 'd' },
    pinned: false,
    wants: '1.1.0',
    ...(state && { state }),
    ...rest,
  })
  it.each([
    ['all of it', [place('serving'), place('serving')], '2 of 2 boards serve 1.1.0.'],
    [
      'the order of the issue',
      [
        place('serving'),
        place('serving'),
        place('serving'),
        place('downloading', { percent: 40.2 }),
        place('refused', { reason: 'golden cat differs' }),
      ],
      '3 of 5 boards serve 1.1.0, 1 is downloading (40 %), 1 refused it: golden cat differs.',
    ],
    [
      'several downloads',
      [place('downloading', { percent: 3 }), place('downloading', { percent: 99.9 })],
      '0 of 2 boards serve 1.1.0, 2 are downloading (3 to 99 %).',
    ],
    [
      'a reason to wait',
      [place('waiting', { reason: 'it needs 80 MiB' })],
      '0 of 1 board serves 1.1.0, 1 is waiting: it needs 80 MiB.',
    ],
    [
      'one that differs',
      [place('serving'), place('serving', { pinned: true, wants: '1.0.0' })],
      '1 of 1 board serves 1.1.0. 1 board pinned to 1.0.0.',
    ],
    ['none at all', [], '1.1.0 is set for the fleet, and no board is there to serve it.'],
  ])('is said in one sentence: %s', (_, places, sentence) => {
    expect(sentenceOf(places, '1.1.0')).toBe(sentence)
  })

  it('names what boards that are there refuse, the most frequent first', () => {
    const board = (version: string, state: PlacedBoard['state'] = 'idle'): PlacedBoard => ({
      id: 'd',
      name: 'd',
      state,
      models: [],
      packages: [
        { id: 'm', version, state: 'refused', reason: version === '1.0.0' ? 'no'.repeat(999) : `no ${version}` },
        { id: 'other', version, state: 'downloading' },
      ],
    })
    expect(refusedBy([board('1.0.0'), board('1.1.0'), board('1.1.0'), board('1.2.0', 'offline')])).toEqual([
      { model: 'm@1.1.0', boards: 2, reason: 'no 1.1.0' },
      { model: 'm@1.0.0', boards: 1, reason: `${'no'.repeat(150)}…` },
    ])
  })

  it('counts the bytes that were signed, not the name', () => {
    const board = {
      id: 'd',
      name: 'd',
      state: 'idle',
      models: [{ id: 'm', version: '1.1.0', digest: 'b', task: 't' }],
      packages: [],
    } satisfies PlacedBoard as PlacedBoard
    const wanted = { version: '1.1.0', pinned: false }
    expect(placeOf(board, 'm', { ...wanted, sha256: 'a' })?.state).toBe('asked')
    expect(placeOf(board, 'm', { ...wanted, sha256: 'b' })?.state).toBe('serving')
    expect(placeOf({ ...board, state: 'offline' }, 'm', { ...wanted, sha256: 'b' })?.state).toBe('unreachable')
    expect(placeOf(board, 'other', undefined)).toBeUndefined()
  })
})
