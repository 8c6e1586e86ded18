// The power may go before any change on the disk: every one of them is taken away once, together with all that come after it.
import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Release } from '../../broker/protocol/packages.ts'
import { createDisk } from './dying-disk.ts'
import {
  type Console,
  createBoard,
  createPublisher,
  removeFolders,
  startConsole,
  temporaryFolder,
  treeOf,
  version,
} from './packages-rig.ts'

/** Each change by itself takes minutes on a busy machine: that is done by test/slow. */
const STRIDE = process.env['BRAMBLE_SLOW_TESTS'] === undefined ? 7 : 1
/** Room for three versions of 350 KiB. */
const QUOTA_BYTES = 1_250_000
const NOWHERE = 'http://127.0.0.1:1'
const acme = createPublisher()
let console: Console
const NAMES = ['1.1.0', '2.0.0', '3.0.0', '4.0.0'] as const
type Name = (typeof NAMES)[number]
const wanted = new Map<Name, ReturnType<Console['offer']>>()

const offered = async (name: string) => {
  const files = await version('fashion', name, 200)
  return console.offer('fashion', name, files, acme.sign('fashion', name, files))
}

beforeAll(async () => {
  console = await startConsole([acme])
  for (const name of NAMES) wanted.set(name, await offered(name))
})
afterAll(async () => {
  disk.restore()
  await console.close()
  await removeFolders()
})

async function converged(data: string, name: Name): Promise<void> {
  console.want(wanted.get(name)!)
  const board = createBoard({ url: console.url, data, quotaBytes: QUOTA_BYTES })
  await board.start()
  await board.until((states, versions) => states.length === 0 && versions['fashion'] === name)
  await board.stop()
}

const disk = createDisk()

/** A board that converges to `name` until its disk stands still; false when it came to the end before. */
async function cutShort(data: string, name: Name, changes: number): Promise<boolean> {
  console.want(wanted.get(name)!)
  const stands = disk.stopAfter(changes, data).then(() => true)
  const done = (async () => {
    const board = createBoard({ url: console.url, data, quotaBytes: QUOTA_BYTES })
    await board.start()
    await board.until((states, versions) => states.length === 0 && versions['fashion'] === name)
    await board.stop()
    return false
  })()
  // Whatever a board does whose disk stands still: it is dead.
  return Promise.race([stands, done.catch(() => stands)])
}

/** It serves what it served or what it should serve, and whatever has a package's name is a whole package. */
async function restartedOffline(data: string, names: readonly Name[]): Promise<void> {
  const packages = join(data, 'packages')
  for (const folder of (await readdir(packages)).filter((name) => name.includes('@'))) {
    const [, body = ''] = (await readFile(join(packages, folder, '.release'), 'utf8')).split('.')
    const { files } = Release.parse(JSON.parse(Buffer.from(body, 'base64url').toString()))
    const tree = await treeOf(join(packages, folder))
    expect(tree).toMatchObject(Object.fromEntries(files.map(({ path, sha256 }) => [path, sha256])))
  }
  const board = createBoard({ url: NOWHERE, data })
  await board.start()
  expect(names).toContain(board.versions()['fashion'])
  await board.stop()
}

test.each<{ what: string; past: readonly Name[]; goal: Name; changes: { from: number; to: number } }>([
  { what: 'forwards', past: ['1.1.0'], goal: '2.0.0', changes: { from: 30, to: 100 } },
  { what: 'backwards', past: ['1.1.0', '2.0.0'], goal: '1.1.0', changes: { from: 4, to: 20 } },
  // The rest of it is as above.
  { what: 'that must make room', past: ['1.1.0', '2.0.0', '3.0.0'], goal: '4.0.0', changes: { from: 20, to: 20 } },
])('an update $what, cut off before any change on the disk, ends as if nothing had happened', async (journey) => {
  const { past, goal } = journey
  const start = await temporaryFolder()
  for (const name of past) await converged(start, name)
  const reference = await temporaryFolder()
  await cp(start, reference, { recursive: true })
  await converged(reference, goal)
  const expected = stable(await treeOf(reference))

  let changes = 0
  for (; changes < journey.changes.to; changes += STRIDE) {
    const dead = join(await temporaryFolder(), 'data')
    await cp(start, dead, { recursive: true })
    if (!(await cutShort(dead, goal, changes))) break
    const data = join(await temporaryFolder(), 'data')
    await cp(dead, data, { recursive: true })
    await restartedOffline(data, [past.at(-1)!, goal])
    await converged(data, goal)
    expect(stable(await treeOf(data)), `after ${changes} changes`).toEqual(expected)
  }
  expect(changes).toBeGreaterThanOrEqual(journey.changes.from)
})

/** The revision counts the wishes of all tests. */
const stable = (tree: Record<string, string>): Record<string, string> => ({ ...tree, 'desired.json': '' })
