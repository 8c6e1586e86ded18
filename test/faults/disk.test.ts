// A disk that takes nothing for a while, under full traffic: SQLite's own refusal (a file that may not grow), not a made-up
// error. test/slow has the same on real full and read-only file systems.
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createWorld, type World } from './world.ts'

let world: World
let db: Database.Database | undefined
const { pragma } = Database.prototype
beforeEach(async () => {
  Object.assign(Database.prototype, {
    pragma(this: Database.Database, ...args: Parameters<typeof pragma>) {
      db = this
      return pragma.apply(this, args)
    },
  })
  world = await createWorld()
})
afterEach(() => {
  Object.assign(Database.prototype, { pragma })
  world.close()
})

let sent = 0
async function traffic(tasks: number): Promise<void> {
  for (let n = 0; n < tasks; n += 1) {
    sent += 1
    world.send(`task-${sent}`)
    await world.advance(20)
  }
}

/** Until a write needs a page more than there are. */
const fill = (): void => void db?.pragma(`max_page_count = ${db.pragma('page_count', { simple: true })}`)
const empty = (): void => void db?.pragma('max_page_count = 1000000')

describe('a disk that is full for a while', () => {
  it('costs nothing that was accepted; new tasks are told to come again, and get their answers by themselves', async () => {
    await traffic(50)
    fill()
    await traffic(200)
    expect(world.core().commits.failing()).toBe(true)
    expect(world.core().commits.pending()).toBeLessThan(20)
    expect(world.refused['busy']).toBeGreaterThan(100)
    expect(world.answers.findLast(({ payload }) => payload.includes('"busy"'))?.payload).toContain('disk')
    // Nothing grows while it lasts: the same tasks come again and again.
    await world.advance(10 * 60_000)
    expect(world.core().commits.pending()).toBeLessThan(20)
    empty()
    await traffic(20)
    await world.settle()
    expect(world.core().commits.failing()).toBe(false)
    expect(world.verdict()).toEqual([])
    expect(world.buffer().owed()).toBe(0)
  })

  it('does not stop streams, whose answers need no disk', async () => {
    await traffic(50)
    fill()
    await traffic(50)
    expect(world.core().commits.failing()).toBe(true)
    for (let n = 1; n <= 20; n += 1) {
      world.stream()
      await world.advance(50)
      expect(world.live()).toBe(n)
    }
    world.network('off')
    world.network('mute')
    world.stream()
    expect(world.core().tally.counts().reasons).toMatchObject({ 'disk-failing': 1 })
    empty()
    world.network('off')
    world.network('on')
    await world.settle()
    expect(world.verdict()).toEqual([])
  })

  it('and a lost connection on top of it lose nothing either', async () => {
    await traffic(50)
    fill()
    await traffic(50)
    world.network('off')
    await world.advance(60_000)
    empty()
    await world.advance(5_000)
    world.network('on')
    await world.settle()
    expect(world.verdict()).toEqual([])
  })
})
