import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createFrames } from '../../console/market/frames.ts'
import { createPrices } from '../../console/market/prices.ts'
import { createRequesters } from '../../console/market/requesters.ts'
import { createUlid } from '../../console/market/ulid.ts'
import type { Store } from '../../console/store/open.ts'
import { enrol, type Folder, makeFolder, openStore } from './pool.ts'

let folder: Folder
let store: Store

beforeEach(async () => {
  folder = makeFolder()
  store = await openStore(folder)
})

afterEach(async () => {
  await store.close()
  folder.remove()
})

test('a requester is known by its key, of which only the hash is kept, until the key is renewed', async () => {
  const requesters = createRequesters({ db: store.db, now: () => 5, randomBytes })
  const { key } = await requesters.create({ id: 'gate-1', name: 'Gate camera' })
  expect(await requesters.authenticate(key)).toEqual({ id: 'gate-1', name: 'Gate camera', ownerId: undefined })
  expect(await requesters.authenticate(`${key}x`)).toBeUndefined()
  expect(JSON.stringify(await store.db.selectFrom('requesters').selectAll().execute())).not.toContain(key)
  const next = await requesters.renewKey('gate-1')
  expect(await requesters.authenticate(key)).toBeUndefined()
  expect(await requesters.authenticate(next)).toMatchObject({ id: 'gate-1' })
})

test('a requester id that is taken, unknown or no topic level is refused', async () => {
  const requesters = createRequesters({ db: store.db, now: () => 5, randomBytes })
  const { key } = await requesters.create({ id: 'gate-1', name: 'Gate camera' })
  await expect(requesters.create({ id: 'gate-1', name: 'Thief' })).rejects.toMatchObject({ code: 'taken' })
  expect(await requesters.authenticate(key)).toMatchObject({ name: 'Gate camera' })
  await expect(requesters.create({ id: 'a/b', name: 'x' })).rejects.toMatchObject({ code: 'bad-id' })
  await expect(requesters.renewKey('nobody')).rejects.toMatchObject({ code: 'unknown' })
})

test('an owner’s pipeline may feed that owner’s boards, and no others', async () => {
  const requesters = createRequesters({ db: store.db, now: () => 5, randomBytes })
  const [mine, other] = [await enrol(store, 'owner-a'), await enrol(store, 'owner-b')]
  const { requester } = await requesters.create({ id: 'mine', name: 'x', ownerId: 'owner-a' })
  const topics = (await requesters.principal(requester)).grants.map((grant) => grant.topic).join(' ')
  expect(topics).toContain(`d/${mine.device}/in/#`)
  expect(topics).not.toContain(other.device)
  const { requester: plain } = await requesters.create({ id: 'plain', name: 'x' })
  expect((await requesters.principal(plain)).grants).toHaveLength(3)
})

test('prices outlive the process, and seeding keeps what was set', async () => {
  const prices = await createPrices(store.db)
  await prices.set({ model: 'm', units: 7n, publisher: 'p' })
  await prices.seed([
    { model: 'm', units: 1n, publisher: 'q' },
    { model: 'n', units: 0n, publisher: 'q' },
  ])
  const next = await createPrices(store.db)
  expect(next.list()).toEqual([
    { model: 'm', units: 7n, publisher: 'p' },
    { model: 'n', units: 0n, publisher: 'q' },
  ])
  expect(next.of('o')).toBeUndefined()
})

test('the last pictures are kept up to a cap of bytes, the oldest go first', () => {
  const frames = createFrames(250)
  const picture = (length: number) => new Uint8Array(length)
  for (const id of ['a', 'b', 'c']) frames.keep(id, 'image/jpeg', picture(100))
  frames.keep('sound', 'audio/wav', picture(10))
  frames.keep('huge', 'image/png', picture(251))
  expect(['a', 'b', 'c', 'sound', 'huge'].map(frames.has)).toEqual([false, true, true, false, false])
  expect(frames.bytes).toBe(200)
  frames.keep('b', 'image/jpeg', picture(50))
  expect(frames.bytes).toBe(150)
})

test('ids are ULIDs that sort by time and never repeat, even when the clock stands or goes back', () => {
  const clock = { now: 1_700_000_000_000 }
  const newId = createUlid(() => clock.now, randomBytes)
  const ids = Array.from({ length: 1000 }, (_, index) => {
    clock.now += index === 500 ? -1000 : index % 100 === 0 ? 1 : 0
    return newId()
  })
  expect(new Set(ids).size).toBe(1000)
  expect([...ids].sort()).toEqual(ids)
  expect(ids.every((id) => /^[0-9A-HJKMNP-TV-Z]{26}$/.test(id))).toBe(true)
  // The example of the ULID specification: this time is written so.
  expect(createUlid(() => 1_469_918_176_385, randomBytes)().slice(0, 10)).toBe('01ARYZ6S41')
})
