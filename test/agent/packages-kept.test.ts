// What a board holds of models: it serves without network, beside its own folder, and within a cache.
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { readPackage } from '../../models/catalog.ts'
import { type Console, createBoard, MODELS, sha256, treeOf, version } from './packages-rig.ts'
import { openPackagesStage } from './packages-stage.ts'

const NOWHERE = 'http://127.0.0.1:1'
const MIB = 1024 * 1024
const stage = openPackagesStage()
const { boardWith, offered, offer, told, serves } = stage

describe('a board without network', () => {
  async function servedOnce(...models: Parameters<Console['want']>): Promise<void> {
    stage.console.want(...models)
    const board = await boardWith()
    await board.until((_, versions) => models.every(({ id, version: name }) => versions[id] === name))
    await board.stop()
  }

  test('serves what it was told last, without proving it again', async () => {
    await servedOnce(await offer('2.0.0'))
    const board = await boardWith({ url: NOWHERE })
    expect(board.versions()).toEqual({ fashion: '2.0.0' })
    expect(board.proven).toEqual([])
  })

  test('takes frames for it in before it is loaded', async () => {
    await servedOnce(await offer('2.0.0'))
    const board = createBoard({ url: NOWHERE, data: stage.data })
    await board.packages.open()
    expect(board.serving.find('fashion')?.manifest.version).toBe('2.0.0')
    expect(board.serving.served()).toEqual([])
  })

  test('proves it again after an update of the agent, and serves the version before where it is wrong now', async () => {
    await servedOnce(await offer('2.0.0'))
    await servedOnce(await offer('3.0.0'))
    const board = await boardWith({
      url: NOWHERE,
      version: '1.0.1',
      prove: async ({ manifest }) =>
        manifest.version === '3.0.0' ? { ok: false, cause: 'answer', reason: 'wrong' } : { ok: true },
    })
    expect(board.versions()).toEqual({ fashion: '2.0.0' })
    expect(board.packages.states()).toMatchObject([{ version: '3.0.0', state: 'refused', reason: 'wrong' }])
  })

  test.each(['model.onnx', 'model.json', 'LICENSE', 'golden/bag.png'])(
    'does not serve a package whose %s has changed on the disk, and gets it again once there is a network',
    async (path) => {
      await servedOnce(await offer('2.0.0'))
      const folder = (await readdir(join(stage.data, 'packages'))).find((name) => name.startsWith('fashion@2.0.0'))!
      const file = join(stage.data, 'packages', folder, path)
      const bytes = await readFile(file)
      bytes[bytes.length >> 1]! ^= 1
      await writeFile(file, bytes)
      const offline = await boardWith({ url: NOWHERE })
      expect(offline.versions()).toEqual({})
      await offline.stop()
      const online = await boardWith()
      await online.until(serves('2.0.0'))
      expect(online.proven).toEqual([])
    },
  )

  test('serves the version before while the wanted one is not here yet', async () => {
    await servedOnce(await offer('2.0.0'))
    const next = await offer('3.0.0')
    stage.console.lie(next.release, (_, response) => response.writeHead(500).end())
    stage.console.want(next)
    const board = await boardWith()
    await board.until(([fashion]) => fashion?.reason !== undefined)
    await board.stop()
    const later = await boardWith({ url: NOWHERE })
    expect(later.versions()).toEqual({ fashion: '2.0.0' })
  })
})

describe("a board's own folder", () => {
  const own = () => readPackage(join(MODELS, 'fashion'))

  test('is served as long as the console has no opinion', async () => {
    const board = await boardWith({ folder: [await own()] })
    await board.packages.converge()
    expect(board.versions()).toEqual({ fashion: '1.0.0' })
  })

  test('goes on serving the models that the console does not name', async () => {
    const board = await boardWith({ folder: [await own(), await readPackage(join(MODELS, 'vibration-ae'))] })
    await told(board, await offer('2.0.0'))
    await board.until((_, versions) => versions['fashion'] === '2.0.0')
    expect(board.versions()).toEqual({ fashion: '2.0.0', 'vibration-ae': '1.0.0' })
  })

  test('stands in until the wanted version is proven', async () => {
    const wanted = await offer('2.0.0')
    stage.console.lie(wanted.release, (_, response) => response.writeHead(500).end())
    stage.console.want(wanted)
    const board = await boardWith({ folder: [await own()] })
    await board.until(([fashion]) => fashion?.reason !== undefined)
    expect(board.versions()).toEqual({ fashion: '1.0.0' })
    stage.console.lie(wanted.release)
    board.packages.connected()
    await board.until(serves('2.0.0'))
  })

  test('lends its files: what the console wants and the folder holds is not fetched', async () => {
    const files = await version('fashion', '1.0.1', 0, (manifest, all) => {
      all.delete('model.onnx')
      manifest.file = {
        path: 'fp32.onnx',
        sha256: manifest.quantization.fp32.sha256,
        bytes: manifest.quantization.fp32.bytes,
      }
      manifest.quantization = { kind: 'none' }
    })
    stage.console.want(offered('fashion', '1.0.1', files))
    const board = await boardWith({ folder: [await own()] })
    await board.until(serves('1.0.1'))
    expect(stage.console.fetched()).not.toContain(sha256(files.get('fp32.onnx')!))
  })

  test('is served again when the console has no opinion any more', async () => {
    const board = await boardWith({ folder: [await own()] })
    await told(board, await offer('2.0.0'))
    await board.until(serves('2.0.0'))
    stage.console.rest()
    await board.packages.converge()
    await board.until(serves('1.0.0'))
  })
})

describe('the cache', () => {
  const placed = async (): Promise<string[]> =>
    (await readdir(join(stage.data, 'packages')))
      .flatMap((name) => /^(.+@.+)\.[0-9a-f]{64}$/.exec(name)?.[1] ?? [])
      .sort()

  test('gives up what was not used for longest, and never the served or the previous version', async () => {
    const board = await boardWith({ quotaBytes: 5 * MIB })
    for (const name of ['1.1.0', '1.2.0', '1.3.0', '1.4.0', '1.1.0', '1.5.0']) {
      await told(board, await offer(name, 1024))
      await board.until((states, versions) => states.length === 0 && versions['fashion'] === name)
    }
    // 1.2.0 went; 1.1.0 was used again, 1.4.0 before it.
    expect(await placed()).toEqual(['fashion@1.1.0', 'fashion@1.3.0', 'fashion@1.4.0', 'fashion@1.5.0'])
  })

  test('refuses to give up the served and the previous version for one that is too large, and says so with numbers', async () => {
    const lines: string[] = []
    const log = pino({ level: 'warn' }, { write: (line) => void lines.push(line) })
    const board = await boardWith({ quotaBytes: 3 * MIB, log })
    for (const name of ['1.1.0', '1.2.0']) {
      await told(board, await offer(name, 1024))
      await board.until(serves(name))
    }
    await told(board, await offer('1.3.0', 2048))
    await board.until(([fashion]) => fashion?.reason !== undefined)
    expect(board.packages.states()[0]).toMatchObject({
      state: 'waiting',
      reason: expect.stringMatching(/takes 2\.\d MiB.*of the 3\.0 MiB that --cache-mib allows/),
    })
    expect(lines.filter((line) => line.includes('--cache-mib allows'))).toHaveLength(1)
    expect(await placed()).toEqual(['fashion@1.1.0', 'fashion@1.2.0'])
    expect(board.versions()).toEqual({ fashion: '1.2.0' })
  })

  test('keeps no room for a model that was not served any more when the console gave it up', async () => {
    const board = await boardWith({ quotaBytes: 3 * MIB })
    await told(board, await offer('1.1.0', 1024))
    await board.until(serves('1.1.0'))
    stage.console.trust()
    await board.packages.converge()
    await board.until((_, versions) => versions['fashion'] === undefined)
    stage.console.trust(stage.acme)
    await told(board, await offer('2.0.0', 2048, 'vibration-ae'))
    await board.until(([state], versions) => state?.reason !== undefined || versions['vibration-ae'] === '2.0.0')
    expect(board.packages.states()).toEqual([])
    expect(await placed()).toEqual(['vibration-ae@2.0.0'])
  })

  test('does not fill the disk', async () => {
    stage.console.want(await offer('2.0.0'))
    const board = await boardWith({ freeBytes: async () => 64 * MIB })
    await board.until(([fashion]) => fashion?.reason !== undefined)
    expect(board.packages.states()[0]?.reason).toMatch(/needs 64 MiB of free disk, there are 64 MiB/)
    expect(stage.console.fetched()).toEqual([])
  })

  test('is cleaned of what a power cut left', async () => {
    const packages = join(stage.data, 'packages')
    await mkdir(join(packages, `.gone-${'a'.repeat(64)}-x`, 'golden'), { recursive: true })
    await mkdir(join(packages, `.staging-${'b'.repeat(64)}`), { recursive: true })
    await cp(join(MODELS, 'fashion'), join(packages, `fashion@9.9.9.${'c'.repeat(64)}`), { recursive: true })
    const board = await boardWith()
    await board.packages.converge()
    expect(Object.keys(await treeOf(packages))).toEqual([])
  })
})
