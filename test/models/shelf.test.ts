import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createShelf } from '../../models/runtime/shelf.ts'

/** A loader that keeps count of what is in memory, at sizes of its own. */
function rig(budgetMiB: number, sizes: Readonly<Record<string, number>>) {
  const memory = new Set<string>()
  const events: string[] = []
  const over: number[] = []
  const clock = { ms: 0 }
  const shelf = createShelf({
    budgetMiB,
    load: async (name) => {
      if (name === 'broken') throw new Error('no such model')
      memory.add(name)
      events.push(`load ${name}`)
      return sizes[name] ?? 0
    },
    unload: async (name) => {
      memory.delete(name)
      events.push(`unload ${name}`)
    },
    overBudget: (_, mib) => void over.push(mib),
    elapsed: () => clock.ms,
  })
  const used = (): number => [...memory].reduce((sum, name) => sum + (sizes[name] ?? 0), 0)
  const use = async (name: string): Promise<boolean> => {
    const held = shelf.hold(name)
    const ok = held === undefined || (await held).ok
    if (ok) expect(memory).toContain(name)
    if (ok) shelf.release(name)
    return ok
  }
  return { shelf, memory, events, over, used, use, clock }
}

const SIZES = { a: 10, b: 10, c: 10, huge: 100 }

test('the model that was not used for longest makes way, and a frame for it waits until it is back', async () => {
  const { shelf, events, use } = rig(20, SIZES)
  await shelf.put('a', 1)
  await shelf.put('b', 1)
  await use('a')
  await shelf.put('c', 10)
  expect(events).toEqual(['load a', 'load b', 'unload b', 'load c'])
  expect(await use('b')).toBe(true)
  expect(events.slice(4)).toEqual(['unload a', 'load b'])
  expect(shelf.stats()).toEqual({ unloads: 2, waitedForLoad: 1 })
})

test('frames for two models that do not fit together are run in groups, not one load each', async () => {
  const { shelf, events, memory } = rig(10, SIZES)
  for (const name of ['a', 'b', 'c']) await shelf.put(name, 10)
  events.length = 0
  const held = ['a', 'b', 'a', 'b', 'a', 'b'].map((name) => ({ name, held: shelf.hold(name) }))
  await Promise.all(
    held.map(async ({ name, held }) => {
      await held
      await new Promise(setImmediate)
      expect(memory).toContain(name)
      shelf.release(name)
    }),
  )
  expect(events.filter((event) => event.startsWith('load'))).toEqual(['load a', 'load b'])
})

test('an idle model makes way before one with frames in work', async () => {
  const { shelf, memory } = rig(20, SIZES)
  await shelf.put('a', 10)
  expect(shelf.hold('a')).toBeUndefined()
  await shelf.put('b', 10)
  await shelf.put('c', 10)
  expect([...memory].sort()).toEqual(['a', 'c'])
})

test('a model that turns out larger than it was thought to be makes the others go', async () => {
  const { shelf, memory, used } = rig(25, SIZES)
  await shelf.put('a', 1)
  await shelf.put('b', 1)
  await shelf.put('c', 1)
  expect([...memory].sort()).toEqual(['b', 'c'])
  expect(used()).toBe(20)
})

test('a model that was lost with its process comes back for the next frame', async () => {
  const { shelf, events, use } = rig(20, SIZES)
  await shelf.put('a', 10)
  shelf.lost('a')
  expect(await use('a')).toBe(true)
  expect(events).toEqual(['load a', 'load a'])
})

test('a model that does not load again is not tried for every frame, and ever more rarely', async () => {
  const clock = { ms: 0 }
  let loads = 0
  let isBroken = false
  const fragile = createShelf({
    budgetMiB: 20,
    load: async () => {
      loads += 1
      if (isBroken) throw new Error('the disk is gone')
      return 1
    },
    unload: async () => {},
    overBudget: () => {},
    elapsed: () => clock.ms,
  })
  await fragile.put('a', 1)
  fragile.lost('a')
  isBroken = true
  for (let i = 0; i < 5; i += 1) expect(await fragile.hold('a')).toEqual({ ok: false, reason: 'the disk is gone' })
  expect(loads).toBe(2)
  for (let s = 0; s < 86_400; s += 10, clock.ms += 10_000) await fragile.hold('a')
  expect(loads).toBeLessThan(160)
  isBroken = false
  clock.ms += 600_000
  expect(await fragile.hold('a')).toEqual({ ok: true })
  fragile.lost('a')
  isBroken = true
  expect(await fragile.hold('a')).toMatchObject({ ok: false })
  isBroken = false
  clock.ms += 30_000
  expect(await fragile.hold('a')).toEqual({ ok: true })
})

test('a model with frames in work stays until they are done', async () => {
  const { shelf, memory, events } = rig(10, SIZES)
  await shelf.put('a', 10)
  expect(shelf.hold('a')).toBeUndefined()
  const coming = shelf.put('b', 10)
  await new Promise(setImmediate)
  const later = shelf.hold('a')
  expect(memory).toContain('a')
  shelf.release('a')
  await coming
  expect(events).toEqual(['load a', 'unload a', 'load b'])
  expect(await later).toEqual({ ok: true })
  expect([...memory]).toEqual(['a'])
})

test('a model larger than the whole budget is served alone, and that is said', async () => {
  const { shelf, memory, over, use } = rig(50, SIZES)
  await shelf.put('a', 10)
  await shelf.put('huge', 100)
  expect([...memory]).toEqual(['huge'])
  expect(over).toEqual([100])
  expect(await use('a')).toBe(true)
})

test('a model that cannot be loaded is not known afterwards', async () => {
  const { shelf, use } = rig(50, SIZES)
  await expect(shelf.put('broken', 1)).rejects.toThrow('no such model')
  expect(await use('broken')).toBe(false)
  expect(await use('never put')).toBe(false)
})

test('whatever comes in whatever order: the budget holds, and every frame runs on a loaded model', async () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const sizes = fc.record({
    a: fc.integer({ min: 1, max: 40 }),
    b: fc.integer({ min: 1, max: 40 }),
    c: fc.integer({ min: 1, max: 40 }),
    d: fc.integer({ min: 1, max: 40 }),
    e: fc.integer({ min: 1, max: 40 }),
  })
  await fc.assert(
    fc.asyncProperty(
      sizes,
      fc.integer({ min: 40, max: 120 }),
      fc.array(name, { maxLength: 40 }),
      async (mib, budget, uses) => {
        const { shelf, used, use, over } = rig(budget, mib)
        for (const [key, size] of Object.entries(mib)) await shelf.put(key, size)
        const outcomes = await Promise.all(uses.map(use))
        expect(outcomes.every(Boolean)).toBe(true)
        expect(used()).toBeLessThanOrEqual(budget)
        expect(over).toEqual([])
      },
    ),
  )
})
