// A board and its console: what is wanted is downloaded, checked, proven and served.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Board, createPaperHost, RUNTIME, sha256, version } from './packages-rig.ts'
import { openPackagesStage } from './packages-stage.ts'

const MIB = 1024 * 1024
const stage = openPackagesStage()
const { boardWith, offered, offer, told, serves } = stage

describe('a board', () => {
  test('downloads, proves and serves the version that the console wants', async () => {
    stage.console.want(await offer('2.0.0'))
    const board = await boardWith()
    await board.until(serves('2.0.0'))
    expect(board.proven).toEqual(['fashion@2.0.0'])
    expect(board.packages.states()).toEqual([])
  })

  test('keeps serving the old version until the new one is proven, and then drops it from memory', async () => {
    const host = createPaperHost()
    const seen: unknown[] = []
    const board = await boardWith({
      host,
      prove: async (pkg) => {
        seen.push([board?.versions(), [...host.loaded.keys()], pkg.manifest.version])
        return { ok: true }
      },
    })
    await told(board, await offer('2.0.0'))
    await board.until(serves('2.0.0'))
    await told(board, await offer('3.0.0'))
    await board.until(serves('3.0.0'))
    expect(seen[1]).toEqual([{ fashion: '2.0.0' }, ['fashion@2.0.0', 'fashion@3.0.0'], '3.0.0'])
    await expect.poll(() => [...host.loaded.keys()]).toEqual(['fashion@3.0.0'])
  })

  test('does not unload the old version while frames that were taken for it wait', async () => {
    const host = createPaperHost()
    const drained = Promise.withResolvers<void>()
    const board = await boardWith({ host, drained: () => drained.promise })
    await told(board, await offer('2.0.0'))
    await board.until(serves('2.0.0'))
    await told(board, await offer('3.0.0'))
    await board.until(serves('3.0.0'))
    expect([...host.loaded.keys()]).toEqual(['fashion@2.0.0', 'fashion@3.0.0'])
    drained.resolve()
    await expect.poll(() => [...host.loaded.keys()]).toEqual(['fashion@3.0.0'])
  })

  test('goes back to an older version without a download', async () => {
    const [old, next] = [await offer('2.0.0'), await offer('3.0.0')]
    const board = await boardWith()
    await told(board, old)
    await board.until(serves('2.0.0'))
    await told(board, next)
    await board.until(serves('3.0.0'))
    const count = stage.console.fetched().length
    await told(board, old)
    await board.until(serves('2.0.0'))
    expect(stage.console.fetched()).toHaveLength(count)
    expect(board.proven).toEqual(['fashion@2.0.0', 'fashion@3.0.0'])
  })

  test('does not go back to files that have changed meanwhile, nor keep in memory what it knew of each version', async () => {
    const board = await boardWith()
    const [first, second] = [await offer('2.0.0'), await offer('3.0.0')]
    for (const one of [first, second]) {
      await told(board, one)
      await board.until(serves(one.version))
    }
    const folder = join(stage.data, 'packages', `fashion@2.0.0.${first.release}`)
    await writeFile(join(folder, 'LICENSE'), (await readFile(join(folder, 'LICENSE'), 'utf8')).toUpperCase())
    const before = stage.console.fetched().length
    await told(board, first)
    await expect
      .poll(async () => {
        await board.advance(10_000)
        return board.versions()
      })
      .toEqual({ fashion: '2.0.0' })
    expect(stage.console.fetched().length).toBeGreaterThan(before)
  })

  test('goes back while the newer version still drains, and keeps what it serves loaded', async () => {
    const [old, next] = [await offer('2.0.0'), await offer('3.0.0')]
    const host = createPaperHost()
    const drained = Promise.withResolvers<void>()
    const board = await boardWith({ host, drained: () => drained.promise })
    for (const [wanted, name] of [
      [old, '2.0.0'],
      [next, '3.0.0'],
      [old, '2.0.0'],
    ] as const) {
      await told(board, wanted)
      await board.until(serves(name))
    }
    drained.resolve()
    await expect.poll(() => [...host.loaded.keys()]).toEqual(['fashion@2.0.0'])
  })

  test('stops serving what the console does not want any more, at once', async () => {
    const board = await boardWith()
    await told(board, await offer('2.0.0'), await offer('1.1.0', 1, 'vibration-ae'))
    await board.until(serves('1.1.0', 'vibration-ae'))
    await told(board, await offer('1.1.0', 1, 'vibration-ae'))
    await board.until((_, versions) => versions['fashion'] === undefined)
    expect(board.serving.find('fashion')).toBeUndefined()
  })

  test('replaces a version by another of the same name, proving it beside the old one', async () => {
    const board = await boardWith()
    await told(board, await offer('2.0.0', 1))
    await board.until(serves('2.0.0'))
    const before = board.serving.find('fashion')
    const again = await offer('2.0.0', 2)
    await told(board, again)
    await board.until((states) => states.length === 0 && board.serving.find('fashion') !== before)
    expect(board.proven).toEqual(['fashion@2.0.0', 'fashion@2.0.0-candidate'])
    expect(board.serving.find('fashion')?.bytes).toBeGreaterThan(before?.bytes ?? 0)
  })

  test('does not serve a version whose golden cases come out wrong, says why, and does not try again', async () => {
    const attempts: string[] = []
    const board = await boardWith({
      prove: async ({ manifest }) => {
        attempts.push(manifest.version)
        return manifest.version === '3.0.0'
          ? { ok: false, cause: 'answer', reason: 'bag.png: the answer is another' }
          : { ok: true }
      },
    })
    await told(board, await offer('2.0.0'))
    await board.until(serves('2.0.0'))
    await told(board, await offer('3.0.0'))
    await board.until(([fashion]) => fashion?.state === 'refused')
    expect(board.packages.states()).toEqual([
      { id: 'fashion', version: '3.0.0', state: 'refused', reason: 'bag.png: the answer is another' },
    ])
    expect(board.versions()).toEqual({ fashion: '2.0.0' })
    // A golden case that fails once is run once more: the host may have been ended for another model's sake.
    expect(attempts).toEqual(['2.0.0', '3.0.0', '3.0.0'])
    board.packages.connected()
    await board.packages.converge()
    expect(attempts).toHaveLength(3)
  })

  test('proves a refused version again when the runtime has changed, without fetching it again', async () => {
    const wanted = await offer('2.0.0')
    stage.console.want(wanted)
    const first = await boardWith({ prove: async () => ({ ok: false, cause: 'answer', reason: 'wrong' }) })
    await first.until(([fashion]) => fashion?.state === 'refused')
    await first.stop()
    const count = stage.console.fetched().length
    const host = { ...createPaperHost(), runtime: async () => ({ ...RUNTIME, ort: '2' }) }
    const second = await boardWith({ host })
    await second.until(serves('2.0.0'))
    expect(stage.console.fetched()).toHaveLength(count)
  })

  test('fetches only what no other package on this board holds', async () => {
    const board = await boardWith()
    await told(board, await offer('2.0.0'))
    await board.until(serves('2.0.0'))
    const count = stage.console.fetched().length
    const files = await version('fashion', '3.0.0')
    await told(board, offered('fashion', '3.0.0', files))
    await board.until(serves('3.0.0'))
    const fresh = ['model.json', 'model.onnx'].map((path) => sha256(files.get(path)!))
    expect(stage.console.fetched().slice(count).sort()).toEqual(fresh.sort())
  })

  test('tells how far a download is', async () => {
    const files = await version('fashion', '2.0.0', 4 * 1024)
    const model = files.get('model.onnx')!
    const [said, go] = [new Set<number>(), Promise.withResolvers<void>()]
    stage.console.lie(sha256(model), (_, response) => {
      response.writeHead(200, { 'content-length': model.byteLength }).write(model.subarray(0, 2 * MIB))
      void go.promise.then(() => response.end(model.subarray(2 * MIB)))
    })
    stage.console.want(offered('fashion', '2.0.0', files))
    const board: Board = await boardWith({ changed: () => said.add(board?.packages.states()[0]?.percent ?? -1) })
    await expect.poll(() => board.packages.states()[0]?.percent).toBeGreaterThan(40)
    expect(board.packages.states()[0]).toMatchObject({ id: 'fashion', version: '2.0.0', state: 'downloading' })
    // The clock stands still, so that a new percentage alone is not worth a message yet.
    expect(Math.max(...said)).toBeLessThan(10)
    await board.advance(5_000)
    go.resolve()
    await board.until(serves('2.0.0'))
    expect(Math.max(...said)).toBeGreaterThan(40)
  })

  test('turns to a new wish in the middle of a download', async () => {
    const slow = await version('fashion', '2.0.0')
    const model = slow.get('model.onnx')!
    const begun = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    stage.console.lie(sha256(model), (_, response) => {
      response.on('close', gone.resolve)
      response.writeHead(200, { 'content-length': model.byteLength }).write('x', () => begun.resolve())
    })
    stage.console.want(offered('fashion', '2.0.0', slow))
    const board = await boardWith()
    await begun.promise
    await told(board, await offer('3.0.0'))
    await gone.promise
    await board.until(serves('3.0.0'))
  })

  test('is not held up by one model that cannot be had', async () => {
    const lost = await offer('2.0.0')
    stage.console.lie(lost.release, (_, response) => response.writeHead(500).end())
    stage.console.want(lost, await offer('1.1.0', 1, 'vibration-ae'))
    const board = await boardWith()
    await board.until(serves('1.1.0', 'vibration-ae'))
    await board.until(([fashion]) => fashion?.state === 'waiting' && fashion.reason !== undefined)
  })

  test('serves only what its owner allows', async () => {
    stage.console.want(await offer('2.0.0'), await offer('1.1.0', 1, 'vibration-ae'))
    const board = await boardWith({ only: ['fashion'] })
    await board.until(serves('2.0.0'))
    expect(board.versions()).toEqual({ fashion: '2.0.0' })
    expect(stage.console.asked.map(({ path }) => path)).toHaveLength(
      new Set(stage.console.asked.map(({ path }) => path)).size,
    )
  })

  test('knows how far its clock is from that of the console', async () => {
    stage.console.shift(90_000)
    const board = await boardWith()
    await board.packages.converge()
    expect(board.packages.skewMs()).toBe(-90_000)
    board.set(3_600_000)
    expect(board.packages.skewMs(), 'at once, without asking').toBe(3_510_000)
  })

  test('asks again every ten minutes, more or less, and at each connection', async () => {
    const board = await boardWith()
    const count = (): number => stage.console.asked.filter(({ path }) => path === '/boards/desired').length
    await expect.poll(count).toBe(1)
    await board.advance(12 * 60_000)
    await expect.poll(count).toBe(2)
    board.packages.connected()
    await expect.poll(count).toBe(3)
  })
})
