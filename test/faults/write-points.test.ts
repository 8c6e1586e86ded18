// kill -9 at every write point. What a killed process leaves is its files as they are at that moment, so the files are
// copied at each point of one long run, and a second board goes on from each copy; test/agent/crash.test.ts kills real
// processes at a few of them.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { copyBoard, expectGoesOn, FILES } from './second-board.ts'
import { createWorld, freshMemoryFolder, type Past, type World } from './world.ts'
import { watchWrites } from './write-points.ts'

interface Copy {
  readonly name: string
  readonly folder: string
  readonly past: Past
}

const worlds: World[] = []
let unwatch = (): void => undefined
afterEach(() => {
  unwatch()
  for (const world of worlds.splice(0)) world.close()
})

const digest = (folder: string): string =>
  FILES.filter((name) => existsSync(join(folder, name)))
    .reduce((hash, name) => hash.update(readFileSync(join(folder, name))), createHash('sha256'))
    .digest('hex')

it('kill -9 at every write point: a second board goes on from each, and nothing is lost or told twice', async () => {
  const folder = freshMemoryFolder()
  const names: string[] = []
  const copies: Copy[] = []
  let world: World | undefined
  let last = ''

  function onPoint(name: string): void {
    if (!world) return
    names.push(name)
    const past = world.past()
    // Statements of one transaction change nothing outside the process: dying at any of them leaves the same.
    const state = `${digest(folder)} ${past.asked.length} ${past.answers.length} ${past.batches.length}`
    if (state === last) return
    last = state
    const to = join(folder, `copy-${copies.length}`)
    copyBoard(folder, to)
    copies.push({ name, folder: to, past })
  }

  unwatch = watchWrites(onPoint)
  world = await createWorld({ folder, onPoint })
  worlds.push(world)
  for (let n = 0; n < 30; n += 1) {
    if (n === 10) world.network('deaf')
    if (n === 14) world.network('off')
    if (n === 18) world.network('on')
    world.send(`task-${n}`)
    if (n % 3 === 0) world.send(`text-${n}`, Buffer.from('not a picture'))
    await world.advance(n % 2 === 0 ? 300 : 25)
  }
  await world.settle()
  // Long enough for the log to be copied, and for answers to be forgotten.
  await world.advance(11 * 60_000)
  world.send('the-last')
  await world.settle()
  expect(world.verdict()).toEqual([])
  unwatch()

  const kinds = new Set(names)
  for (const kind of [
    'INSERT INTO results',
    'INSERT INTO batches',
    'UPDATE file',
    'INSERT INTO acks',
    'DELETE FROM batches',
  ])
    expect([...kinds]).toEqual(expect.arrayContaining([`before ${kind}`, `after ${kind}`]))
  expect([...kinds]).toEqual(expect.arrayContaining(['before a transaction', 'after wal_checkpoint(TRUNCATE)']))
  expect(names.length).toBeGreaterThan(200)
  expect(copies.length).toBeGreaterThan(60)

  for (const { name, folder: own, past } of copies) await expectGoesOn(own, past, `killed ${name}`)
})
