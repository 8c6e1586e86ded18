// A version that runs: on trial, kept or given up, and beside a package that was installed anew.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { beforeEach, describe, expect, test } from 'vitest'
import { readCatalog } from '../../models/catalog.ts'
import { MODELS } from './packages-rig.ts'
import { started } from './software-rig.ts'
import { openSoftwareStage } from './software-stage.ts'

const stage = openSoftwareStage()
const { board, offer, at, slot, updated, confirm } = stage

describe('a version that was given up', () => {
  const giveUp = (release: string): void =>
    writeFileSync(at('gone-back'), `release=${release}\nversion=0.2.0\nwhy=it ended 3 times\n`)

  test('is not tried again, also after a restart, and the owner is told', async () => {
    await updated('0.9.0')
    const wanted = offer('0.2.0')
    giveUp(wanted.release)
    stage.console.wantSoftware(wanted)
    for (let n = 0; n < 2; n += 1) {
      writeFileSync(at('trial'), '')
      const one = board()
      await one.start()
      const state = await one.until(({ wanted: now }) => now !== undefined)
      expect(state.wanted).toEqual({ ...wanted, state: 'rolled-back', reason: 'it ended 3 times' })
      expect(one.software.notices()).toEqual([
        'This board went back from version 0.2.0 of the agent to a: it ended 3 times.',
      ])
      await one.stop()
    }
    expect(existsSync(at('b'))).toBe(false)
  })

  test('is tried again once the console has stopped wanting it, and is forgotten once a version is kept', async () => {
    await updated('0.9.0')
    confirm()
    const wanted = offer('0.2.0')
    giveUp(wanted.release)
    stage.console.wantSoftware(wanted)
    const one = board()
    await one.start()
    await one.until(({ wanted: now }) => now?.state === 'rolled-back')
    stage.console.wantSoftware()
    await one.ask()
    await one.until(({ wanted: now }) => now === undefined)
    expect(one.software.notices()).toHaveLength(1)
    stage.console.wantSoftware(wanted)
    await one.ask()
    await one.replaced
    expect(started(stage.packaged, stage.data)).toBe('0.2.0')
  })
})

describe('a version on trial', () => {
  const fashion = async () => {
    const pkg = (await readCatalog(MODELS)).resolve('fashion')!
    const [golden] = pkg.manifest.golden
    const right = { ok: true, digest: golden!.digest } as never
    const wrong = { ok: false, error: { code: 'model-failed', message: 'no' } } as never
    return { pkg, right, wrong }
  }
  const doubt = (): string | undefined =>
    existsSync(at('doubt')) ? readFileSync(at('doubt'), 'utf8').trim() : undefined

  test('is kept after its time, with a heartbeat sent and a golden answer, and not before', async () => {
    await updated('0.2.0')
    const { pkg, right, wrong } = await fashion()
    let outcome = wrong
    const served: (typeof pkg)[] = []
    const goldens = { ...pkg, manifest: { ...pkg.manifest, golden: pkg.manifest.golden.slice(0, 1) } }
    const one = board({ served, run: async () => outcome })
    await one.start()
    await one.advance(3_600_000)
    expect(doubt()).toBe('it never got ready')
    one.software.ready()
    await one.advance(0)
    expect(doubt()).toBeUndefined()
    await one.advance(599_000)
    expect(doubt()).toBeUndefined()
    await one.advance(1_000)
    expect(doubt()).toBe('no heartbeat of it reached the broker')
    one.software.beat()
    await one.advance(30_000)
    expect(doubt()).toBe('it serves no model that has golden cases')
    served.push(goldens)
    const settled = async (reason: RegExp | undefined) => {
      one.software.beat()
      await one.advance(30_000)
      // The golden frame is read from the disk.
      while (reason === undefined ? doubt() !== undefined : !reason.test(doubt() ?? '')) await one.advance(0)
    }
    await settled(/^fashion@\S+ is wrong: .*model-failed: no$/)
    expect(one.software.state()?.state).toBe('trial')
    writeFileSync(at('gone-back'), 'release=x\nversion=0.1.5\nwhy=it was bad\n')
    outcome = right
    await settled(undefined)
    expect(one.software.state()?.state).toBe('confirmed')
    expect(one.states.at(-1)?.state).toBe('confirmed')
    expect(readFileSync(at('confirmed'), 'utf8')).toMatch(
      /^slot=a\nbefore=packaged\nrelease=[0-9a-f]{64}\nversion=0.2.0\n/,
    )
    expect(one.software.notices()).toEqual([])
    expect(started(stage.packaged, stage.data)).toBe('0.2.0')
  })

  test('is not kept while its connection is dead, however well it was heard before', async () => {
    await updated('0.2.0')
    const { pkg, right } = await fashion()
    const served = [{ ...pkg, manifest: { ...pkg.manifest, golden: pkg.manifest.golden.slice(0, 1) } }]
    const one = board({ served, run: async () => right })
    await one.start()
    one.software.ready()
    one.software.beat()
    await one.advance(600_000)
    expect(doubt()).toBe('its last heartbeat reached the broker 600 s ago')
    expect(one.software.state()?.state).toBe('trial')
    one.software.beat()
    await one.advance(30_000)
    while (doubt() !== undefined) await one.advance(0)
    expect(one.software.state()?.state).toBe('confirmed')
  })

  test('is not replaced before it is kept', async () => {
    await updated('0.2.0')
    const { pkg, right } = await fashion()
    const served = [{ ...pkg, manifest: { ...pkg.manifest, golden: pkg.manifest.golden.slice(0, 1) } }]
    stage.console.wantSoftware(offer('0.3.0'))
    const one = board({ served, run: async () => right })
    await one.start()
    const { wanted } = await one.until((state) => state.wanted !== undefined)
    expect(wanted).toMatchObject({ state: 'downloading', reason: expect.stringContaining('still on trial') })
    one.software.ready()
    await one.advance(590_000)
    one.software.beat()
    await one.advance(10_000)
    await one.replaced
    expect(slot()).toBe('b')
  })
})

test('a board whose next start runs another version than this one fetches nothing before', async () => {
  await updated('0.2.0')
  confirm()
  const running = board()
  // As the postinst of another package does it, before it restarts the service.
  rmSync(at('current'))
  stage.console.wantSoftware(offer('0.3.0'))
  await running.start()
  const { wanted } = await running.until((state) => state.wanted !== undefined)
  expect(wanted?.reason).toMatch(/the next start of this board runs another version/)
})

describe('a board whose package was installed anew', () => {
  const slots = (): string[] => ['a', 'b'].filter((name) => existsSync(at(name)))
  /** As its postinst does it. */
  const install = (): void => rmSync(at('current'))

  beforeEach(async () => {
    await updated('0.2.0')
    confirm()
    await updated('0.3.0')
    confirm()
  })

  test('keeps the version that still runs until its restart, and then frees the disk of both', async () => {
    const running = board()
    install()
    stage.console.wantSoftware()
    await running.start()
    await running.ask()
    await running.advance(1_000)
    expect(slots()).toEqual(['a', 'b'])
    await running.stop()
    const next = board()
    await next.start()
    while (slots().length > 0) await next.advance(0)
    expect(started(stage.packaged, stage.data)).toBe('0.1.0')
  })

  test('keeps a version that its console wants, and goes to it without a download', async () => {
    install()
    stage.console.wantSoftware(offer('0.2.0'))
    stage.console.asked.splice(0)
    const next = board()
    await next.start()
    await next.replaced
    expect(stage.console.fetched()).toEqual([])
    expect(slots()).toEqual(['a'])
    expect(started(stage.packaged, stage.data)).toBe('0.2.0')
  })
})
