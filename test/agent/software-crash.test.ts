// The power may go before any change that an update makes on the disk: every one of them is taken away once, together with all that
// come after it. Whatever is left, the real launcher starts something that runs.
import { existsSync, readdirSync } from 'node:fs'
import { cp, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDisk } from './dying-disk.ts'
import { type Console, createPublisher, removeFolders, startConsole, temporaryFolder } from './packages-rig.ts'
import { createSoftwareBoard, installPackage, started, versionFiles } from './software-rig.ts'

/** Each change by itself takes a minute: that is done by test/slow. */
const STRIDE = process.env['BRAMBLE_SLOW_TESTS'] === undefined ? 7 : 1
const acme = createPublisher()
const disk = createDisk()
let console: Console
let packaged: string

beforeAll(async () => {
  console = await startConsole([])
  packaged = await temporaryFolder()
  installPackage(packaged, versionFiles('0.1.0'), `${acme.id}:${acme.key}\n`)
})
afterAll(async () => {
  disk.restore()
  await console.close()
  await removeFolders()
})

const want = (name: string): void => {
  const files = versionFiles(name)
  console.wantSoftware(console.offerSoftware(name, files, acme.signSoftware(name, files)))
}

async function updated(data: string, name: string): Promise<void> {
  want(name)
  const board = createSoftwareBoard({ url: console.url, data, packaged })
  await board.start()
  await board.replaced
  await board.stop()
}

/** Follows the wish until the disk stands still; false when it came to the end before. */
async function cutShort(data: string, name: string, changes: number): Promise<boolean> {
  want(name)
  const stands = disk.stopAfter(changes, data).then(() => true)
  const done = (async () => {
    const board = createSoftwareBoard({ url: console.url, data, packaged })
    await board.start()
    await board.replaced
    await board.stop()
    return false
  })()
  // Whatever a board does whose disk stands still: it is dead.
  return Promise.race([stands, done.catch(() => stands)])
}

test.each<{ what: string; past: readonly string[]; goal: string; least: number }>([
  { what: 'the first update', past: [], goal: '0.2.0', least: 40 },
  { what: 'a later one, over an older slot', past: ['0.2.0', '0.3.0'], goal: '0.4.0', least: 40 },
  { what: 'the way back to the slot before', past: ['0.2.0', '0.3.0'], goal: '0.2.0', least: 8 },
])('$what, cut off before any change on the disk, leaves a board that starts, and that gets there', async (journey) => {
  const { past, goal, least } = journey
  const start = join(await temporaryFolder(), 'data')
  for (const name of past) {
    await updated(start, name)
    // The launcher judges a version that ends by itself; here each of them is one that was kept.
    await keep(start)
  }
  let changes = 0
  for (; ; changes += STRIDE) {
    const dead = join(await temporaryFolder(), 'data')
    if (existsSync(start)) await cp(start, dead, { recursive: true, verbatimSymlinks: true })
    if (!(await cutShort(dead, goal, changes))) break
    const data = join(await temporaryFolder(), 'data')
    await cp(dead, data, { recursive: true, verbatimSymlinks: true }).catch(() => undefined)
    const before = past.at(-1) ?? '0.1.0'
    const next = started(packaged, data)
    expect([before, goal], `after ${changes} changes`).toContain(next)
    // What is new is on trial: without that nobody would go back from it.
    const onTrial = existsSync(join(data, 'software/trial'))
    expect(onTrial, `after ${changes} changes`).toBe(next === goal)
    if (next === goal) continue
    await updated(data, goal)
    expect(started(packaged, data), `after ${changes} changes`).toBe(goal)
    const hidden = readdirSync(join(data, 'software')).filter((name) => /^\.(staging|gone)/.test(name))
    expect(hidden, `after ${changes} changes`).toEqual([])
  }
  expect(changes).toBeGreaterThanOrEqual(least)
})

const keep = (data: string): Promise<void> => rename(join(data, 'software/trial'), join(data, 'software/confirmed'))
