// What failed for a moment is tried again, by itself or when somebody asks for it.
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { convergeHandler } from '../../agent/commands/converge.ts'
import type { Proof } from '../../agent/packages/judging.ts'
import type { PackagesOptions } from '../../agent/packages.ts'
import { readPackage } from '../../models/catalog.ts'
import { HostError } from '../../models/runtime/host.ts'
import { type Board, createPaperHost, MODELS } from './packages-rig.ts'
import { openPackagesStage } from './packages-stage.ts'

const stage = openPackagesStage()
const { boardWith, offer, told, serves } = stage

/** Time passes, `ms` at a time, until it is so. */
const later = (board: Board, ms = 10_000) =>
  expect.poll(
    async () => {
      await board.advance(ms)
      return board.versions()
    },
    { interval: 5 },
  )

describe("a model of the board's own folder that does not load", () => {
  const own = () => readPackage(join(MODELS, 'fashion'))

  /** Its next `left` loads of the folder's version fail. */
  function refusing(left: number) {
    const host = createPaperHost()
    const short = {
      ...host,
      left,
      load: async (pkg: Parameters<typeof host.load>[0]) => {
        if (pkg.manifest.version === '1.0.0' && short.left-- > 0)
          throw new HostError('load-failed', 'no memory just now')
        await host.load(pkg)
      },
    }
    return short
  }

  test('is tried again after a load that failed, and until then it is said why it is not served', async () => {
    const board = await boardWith({ folder: [await own()], host: refusing(2) })
    expect(board.packages.states()).toEqual([
      { id: 'fashion', version: '1.0.0', state: 'waiting', reason: 'no memory just now' },
    ])
    expect(board.serving.fault('fashion')).toBe('no memory just now')
    await later(board).toEqual({ fashion: '1.0.0' })
    await board.until((states) => states.length === 0)
    expect(board.serving.fault('fashion')).toBeUndefined()
  })

  test('is tried again at each connection', async () => {
    const board = await boardWith({ folder: [await own()], host: refusing(1) })
    expect(board.versions()).toEqual({})
    board.packages.connected()
    await board.until(serves('1.0.0'))
  })

  test('is not tried again each time on a link that comes and goes all day', async () => {
    const host = refusing(Number.POSITIVE_INFINITY)
    const board = await boardWith({ folder: [await own()], host })
    let loads = 0
    const { load } = host
    host.load = async (pkg) => {
      loads += 1
      await load(pkg)
    }
    for (let n = 0; n < 240; n += 1) {
      board.packages.connected()
      await board.advance(15_000)
    }
    expect(loads).toBeLessThan(25)
  })

  test('stands in again later where it did not load when it was fallen back to', async () => {
    const host = refusing(0)
    const board = await boardWith({ folder: [await own()], host })
    await told(board, await offer('2.0.0'))
    await board.until(serves('2.0.0'))
    await expect.poll(() => [...host.loaded.keys()]).toEqual(['fashion@2.0.0'])
    host.left = 2
    stage.console.want()
    await board.packages.converge()
    await later(board).toEqual({ fashion: '1.0.0' })
    expect(host.left).toBeLessThan(0)
  })
})

describe('golden cases that could not be run', () => {
  const trouble = (code: string): Proof => ({ ok: false, cause: 'run', reason: `bag.png: ${code}` })

  /** Its golden cases come out like this, one after the other, and right after the last. */
  function proofs(...outcomes: Proof[]) {
    const [left, tried] = [[...outcomes], [] as string[]]
    const prove: PackagesOptions['prove'] = async ({ manifest }) => {
      tried.push(manifest.version)
      return left.shift() ?? { ok: true }
    }
    return { prove, tried }
  }

  test('are run again, and the version is served once they come out right', async () => {
    const { prove, tried } = proofs(trouble('timeout'), trouble('crashed'))
    stage.console.want(await offer('2.0.0'))
    const board = await boardWith({ prove })
    await board.until(([fashion]) => fashion?.reason !== undefined)
    expect(board.packages.states()).toMatchObject([{ state: 'waiting', reason: 'bag.png: crashed' }])
    await later(board).toEqual({ fashion: '2.0.0' })
    expect(tried).toHaveLength(3)
  })

  test('are run again by the next process, too', async () => {
    stage.console.want(await offer('2.0.0'))
    const first = await boardWith({ prove: async () => trouble('timeout') })
    await first.until(([fashion]) => fashion?.reason !== undefined)
    await first.stop()
    const second = await boardWith()
    await second.until(serves('2.0.0'))
  })

  test('of a version for which there was no memory just now are run once there is', async () => {
    const host = createPaperHost()
    let left = 2
    const load: typeof host.load = async (pkg) => {
      if (left-- > 0) throw new HostError('load-failed', 'no memory just now')
      await host.load(pkg)
    }
    stage.console.want(await offer('2.0.0'))
    const board = await boardWith({ host: { ...host, load } })
    await later(board).toEqual({ fashion: '2.0.0' })
  })

  test('on five occasions, at least ten minutes apart, refuse the version', async () => {
    stage.console.want(await offer('2.0.0'))
    const board = await boardWith({ prove: async () => trouble('timeout') })
    const state = () => board.packages.states()[0]
    await expect.poll(() => state()?.reason).toBe('bag.png: timeout')
    const from = board.clock.elapsed()
    await expect
      .poll(
        async () => {
          await board.advance(60_000)
          return state()?.state
        },
        { interval: 5 },
      )
      .toBe('refused')
    expect(state()?.reason).toMatch(/^bag\.png: timeout .*5 occasions/)
    expect(board.clock.elapsed() - from).toBeGreaterThanOrEqual(40 * 60_000)
  })

  test('of a version that was refused are run again when somebody asks for it', async () => {
    const wrong: Proof = { ok: false, cause: 'answer', reason: 'wrong' }
    const { prove, tried } = proofs(wrong, wrong)
    const board = await boardWith({ prove })
    const converge = convergeHandler(board.packages.converge)
    await told(board, await offer('2.0.0'))
    await board.until(([fashion]) => fashion?.state === 'refused')
    await converge({})
    await board.advance(60_000)
    expect(tried).toHaveLength(2)
    await converge({ retry: true })
    await board.until(serves('2.0.0'))
    await expect(converge({ again: true })).rejects.toMatchObject({ code: 'bad-arguments' })
  })
})
