import type { Transaction } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createGroupCommit } from '../../console/store/group-commit.ts'
import type { Store } from '../../console/store/open.ts'
import type { Database } from '../../console/store/schema.ts'
import { type Folder, makeFolder, openStore } from '../market/pool.ts'

let folder: Folder
let store: Store
let groups: string[][]
let said: string[]
let recovered: number

beforeEach(async () => {
  folder = makeFolder()
  store = await openStore(folder)
  groups = []
  said = []
  recovered = 0
})

afterEach(async () => {
  await store.close()
  folder.remove()
})

const start = (pause?: () => Promise<void>) =>
  createGroupCommit<string, string>({
    db: store.db,
    ...(pause && { pause }),
    work: async (trx: Transaction<Database>, keys) => {
      groups.push([...keys])
      for (const key of keys) {
        await trx.insertInto('meta').values({ key, value: '' }).execute()
        if (key.startsWith('bad')) throw new Error(`${key} is refused`)
      }
      return { outs: keys.map((key) => `${key} stored`), after: () => said.push(...keys) }
    },
    recover: async () => {
      recovered += 1
    },
  })

const stored = async () =>
  (await store.db.selectFrom('meta').select('key').orderBy('key').execute()).map(({ key }) => key)

test('what arrives in one tick is one transaction, and each gets its own outcome', async () => {
  const group = start()
  expect(await Promise.all(['a', 'b', 'c'].map(group.run))).toEqual(['a stored', 'b stored', 'c stored'])
  expect(await group.run('d')).toBe('d stored')
  expect(groups).toEqual([['a', 'b', 'c'], ['d']])
  expect(await stored()).toEqual(['a', 'b', 'c', 'd'])
})

test('after a group the next one gathers, after a single item it does not', async () => {
  let pauses = 0
  let endPause = (): void => undefined
  const group = start(() => {
    pauses += 1
    return new Promise<void>((resolve) => {
      endPause = resolve
    })
  })
  await group.run('single')
  await group.settled()
  expect(pauses).toBe(0)
  await Promise.all(['a', 'b'].map(group.run))
  const late = [group.run('c')]
  await stored()
  late.push(group.run('d'))
  expect(groups).toEqual([['single'], ['a', 'b']])
  endPause()
  await Promise.all(late)
  expect(groups.at(-1)).toEqual(['c', 'd'])
  endPause()
  await group.settled()
  expect(pauses).toBe(2)
})

test('an item that fails fails alone, leaves nothing, and says nothing', async () => {
  const group = start()
  const outcomes = await Promise.allSettled(['a', 'bad', 'c'].map(group.run))
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(await stored()).toEqual(['a', 'c'])
  expect(said).toEqual(['a', 'c'])
  // After the group, and after the item itself.
  expect(recovered).toBe(2)
})

test('nothing is said before it is on disk', async () => {
  const other = await openStore(folder)
  const group = createGroupCommit<string, boolean>({
    db: store.db,
    work: async (trx, [key = '']) => {
      await trx.insertInto('meta').values({ key, value: '' }).execute()
      expect(await other.db.selectFrom('meta').selectAll().execute()).toEqual([])
      return { outs: [true], after: () => said.push(key) }
    },
    recover: async () => undefined,
  })
  const running = group.run('a')
  expect(said).toEqual([])
  await running
  expect(said).toEqual(['a'])
  expect(await other.db.selectFrom('meta').selectAll().execute()).toHaveLength(1)
  await group.settled()
  await other.close()
})
