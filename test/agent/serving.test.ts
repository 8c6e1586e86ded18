// Which package a frame is run with, while versions come and go; with the real inference process.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createHeld } from '../../agent/frames/held.ts'
import { loadLate } from '../../agent/frames/late-loads.ts'
import { createServing, packagesOf, type Serving } from '../../agent/frames/serving.ts'
import { type ModelPackage, readCatalog, readPackage } from '../../models/catalog.ts'
import { createHost, type InferenceHost } from '../../models/runtime/host.ts'
import { MODELS, removeFolders, temporaryFolder, version } from './packages-rig.ts'

const log = pino({ level: 'silent' })
let host: InferenceHost
let serving: Serving
let versions: Record<'old' | 'new' | 'broken', ModelPackage>
let bag: Buffer

async function packageOf(name: string): Promise<ModelPackage> {
  const folder = await temporaryFolder()
  for (const [path, bytes] of await version('fashion', name)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), bytes)
  }
  return readPackage(folder)
}

beforeAll(async () => {
  host = createHost({ log })
  bag = await readFile(join(MODELS, 'fashion', 'golden', 'bag.png'))
  const old = await packageOf('1.0.0')
  versions = { old, new: await packageOf('2.0.0'), broken: { ...(await packageOf('3.0.0')), sha256: '0'.repeat(64) } }
})
beforeEach(async () => {
  await host.unload('fashion')
  serving = createServing({ host, log })
})
afterAll(async () => {
  await host.close()
  await removeFolders()
})

const runs = async (pkg: ModelPackage): Promise<boolean> =>
  (await host.run(pkg, { contentType: 'image/png', data: bag })).ok

test('two versions of one model answer side by side until the old one is released', async () => {
  await serving.activate(versions.old)
  expect(await serving.activate(versions.new)).toBe(versions.old)
  expect(serving.find('fashion')).toBe(versions.new)
  expect([await runs(versions.old), await runs(versions.new)]).toEqual([true, true])
  await serving.release(versions.old)
  expect([await runs(versions.old), await runs(versions.new)]).toEqual([false, true])
})

test('what is served is not released, though somebody asks', async () => {
  await serving.activate(versions.old)
  await serving.release(versions.old)
  expect(await runs(versions.old)).toBe(true)
})

test('a version that is prepared is not served yet', async () => {
  await serving.activate(versions.old)
  await serving.prepare(versions.new)
  expect(serving.find('fashion')).toBe(versions.old)
  expect(serving.served()).toEqual([versions.old])
})

test('a version that does not load changes nothing', async () => {
  await serving.activate(versions.old)
  await expect(serving.activate(versions.broken)).rejects.toThrow('3.0.0 did not load')
  expect(serving.find('fashion')).toBe(versions.old)
  expect(await runs(versions.old)).toBe(true)
})

test('a retired model is not found, and its frames may still be run until it is released', async () => {
  await serving.activate(versions.old)
  expect(serving.retire('fashion')).toBe(versions.old)
  expect(serving.find('fashion')).toBeUndefined()
  expect(serving.names()).toEqual([])
  expect(await runs(versions.old)).toBe(true)
})

test('frames are taken in for what is expected, before it is loaded', async () => {
  serving.expect([versions.old])
  expect(serving.find('fashion')).toBe(versions.old)
  expect(serving.served()).toEqual([])
  await serving.load()
  expect(serving.served()).toEqual([versions.old])
})

test('what cannot be loaded is not served, and its reason is kept for whoever asks for it', async () => {
  serving.expect([versions.broken])
  await serving.load()
  expect(serving.served()).toEqual([])
  expect(serving.fault('fashion')).toContain('did not load')
  expect(serving.find('fashion')).toBeUndefined()
})

test('what did not load at the start is tried again until it does, after longer and longer waits', async () => {
  const pkg = await packageOf('1.0.0')
  const [file, good] = [pkg.file, await readFile(pkg.file)]
  await writeFile(file, 'torn')
  serving.expect([pkg, versions.broken])
  await serving.load()
  const waits: number[] = []
  let changes = 0
  await loadLate({
    folder: [pkg],
    serving,
    async pause(failures) {
      waits.push(failures)
      if (failures === 3) await writeFile(file, good)
    },
    changed: () => (changes += 1),
  })
  expect(waits).toEqual([1, 2, 3])
  expect(changes).toBe(1)
  expect(serving.fault('fashion')).toBeUndefined()
  expect(await runs(pkg)).toBe(true)
})

test('an id that no package has is named together with those that there are', async () => {
  const catalog = await readCatalog(MODELS)
  expect(() => packagesOf(catalog, ['trousers'])).toThrow(/there is no model trousers; there are fashion, /)
})

test('something in use is counted until the last one drops it', async () => {
  const held = createHeld<string>()
  await held.none('a')
  held.add('a')
  held.add('a')
  let isFree = false
  const free = held.none('a').then(() => {
    isFree = true
  })
  held.drop('a')
  await Promise.resolve()
  expect(isFree).toBe(false)
  held.drop('a')
  await free
  expect(isFree).toBe(true)
})
