// A board that updates its own agent: it fetches the version that is wanted into the free slot, and its next start tries it.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { OUTBOX_READS } from '../../agent/outbox/migrations.ts'
import { sha256 } from './packages-rig.ts'
import { started, versionFiles } from './software-rig.ts'
import { openSoftwareStage } from './software-stage.ts'

const stage = openSoftwareStage()
const { board, offer, at, slot, updated, confirm } = stage

describe('a board', () => {
  test('gets what the console wants, of which it fetches only what it has not, and the next start tries it', async () => {
    const one = await updated('0.2.0')
    const files = versionFiles('0.2.0')
    expect(stage.console.fetched()).toEqual([sha256(files.get('agent/main.js')!)])
    for (const [path, bytes] of files) expect(readFileSync(join(at('a'), path)).equals(bytes), path).toBe(true)
    expect(statSync(join(at('a'), 'node')).mode & 0o777).toBe(0o700)
    expect(statSync(join(at('a'), 'package.json')).mode & 0o777).toBe(0o600)
    expect(one.states.map(({ state, wanted }) => [state, wanted?.state])).toEqual([
      ['packaged', 'downloading'],
      ['packaged', 'switching'],
    ])
    expect(started(stage.packaged, stage.data)).toBe('0.2.0')
    expect(readdirSync(at('.')).filter((name) => name.startsWith('.'))).toEqual([])
  })

  test('fills the other slot from the first, and names the same bytes twice', async () => {
    await updated('0.2.0')
    confirm()
    await updated('0.3.0')
    expect(slot()).toBe('b')
    expect(stage.console.fetched()).toHaveLength(2)
    expect(statSync(join(at('b'), 'node')).ino).toBe(statSync(join(at('a'), 'node')).ino)
    expect(started(stage.packaged, stage.data)).toBe('0.3.0')
  })

  test('goes back to an older version without a download, and says which release it runs', async () => {
    await updated('0.2.0')
    confirm()
    await updated('0.3.0')
    confirm()
    const wanted = offer('0.2.0')
    stage.console.wantSoftware(wanted)
    stage.console.asked.splice(0)
    const one = board()
    await one.start()
    await one.replaced
    expect(stage.console.asked.map(({ path }) => path)).toEqual(['/boards/desired'])
    expect(slot()).toBe('a')
    expect(started(stage.packaged, stage.data)).toBe('0.2.0')
    expect(board().software.state()).toMatchObject({ state: 'trial', release: wanted.release })
    confirm()
    expect(board().software.state()).toMatchObject({ state: 'confirmed', release: wanted.release })
  })

  test('does not trust an older version on its card any more than one from the network', async () => {
    await updated('0.2.0')
    confirm()
    await updated('0.3.0')
    confirm()
    const main = join(at('a'), 'agent/main.js')
    writeFileSync(main, readFileSync(main, 'utf8').replace('x', 'y'))
    stage.console.asked.splice(0)
    await updated('0.2.0')
    expect(stage.console.fetched()).toEqual([sha256(versionFiles('0.2.0').get('agent/main.js')!)])
    expect(started(stage.packaged, stage.data)).toBe('0.2.0')
  })

  test('that can run no model goes back where its files are damaged, and only there', async () => {
    const files = versionFiles('0.2.0')
    await updated('0.2.0')
    confirm()
    await board().software.unfit()
    expect(started(stage.packaged, stage.data)).toBe('0.2.0')
    const file = join(at('a'), 'node_modules/@img/colour/index.js')
    writeFileSync(file, Buffer.from(files.get('node_modules/@img/colour/index.js')!).fill('z', 5, 6))
    const one = board()
    await one.software.unfit()
    await one.replaced
    expect(started(stage.packaged, stage.data)).toBe('0.1.0')
    expect(board().software.notices().join()).toMatch(/went back from version 0.2.0.*\(node_modules\S+ is damaged\)/)
  })

  test('goes on with a file where it broke off, also after a restart', async () => {
    const files = versionFiles('0.2.0', 512)
    const main = files.get('agent/main.js')!
    const half = main.byteLength >> 1
    stage.console.wantSoftware(offer('0.2.0', files))
    stage.console.lie(sha256(main), (_, response, bytes) => {
      response.writeHead(200, { 'content-length': bytes.byteLength })
      response.write(bytes.subarray(0, half), () => response.destroy())
    })
    const one = board()
    await one.start()
    const { wanted } = await one.until((state) => state.wanted?.reason !== undefined)
    expect(wanted).toMatchObject({ state: 'downloading', reason: expect.stringMatching(/broke off after \d+ of/) })
    expect(wanted?.done).toBeGreaterThan(0.3)
    await one.stop()
    stage.console.lie(sha256(main))
    const two = board()
    await two.start()
    await two.replaced
    const ranges = stage.console.asked.flatMap(({ range }) => range ?? [])
    expect(ranges).toEqual([expect.stringMatching(/^bytes=[1-9]\d+-$/)])
    expect(started(stage.packaged, stage.data)).toBe('0.2.0')
  })

  test('waits until nothing is in hand, but not for ever', async () => {
    stage.console.wantSoftware(offer('0.2.0'))
    let isCalm = false
    const one = board({ calm: () => isCalm })
    await one.start()
    await one.until(({ wanted }) => wanted?.state === 'switching')
    await one.advance(60_000)
    expect(slot()).toBeUndefined()
    isCalm = true
    await one.advance(1_000)
    await one.replaced
    expect(slot()).toBe('a')
  })

  test('that is never idle switches after ten minutes', async () => {
    stage.console.wantSoftware(offer('0.2.0'))
    const one = board({ calm: () => false })
    await one.start()
    await one.until(({ wanted }) => wanted?.state === 'switching')
    await one.advance(599_000)
    expect(slot()).toBeUndefined()
    await one.advance(2_000)
    await one.replaced
  })

  test('drops a download that is not wanted any more', async () => {
    const files = versionFiles('0.2.0', 64)
    const never = Promise.withResolvers<void>()
    stage.console.lie(sha256(files.get('agent/main.js')!), () => never.resolve())
    stage.console.wantSoftware(offer('0.2.0', files))
    const one = board()
    await one.start()
    await never.promise
    stage.console.wantSoftware(offer('0.3.0'))
    await one.ask()
    await one.replaced
    expect(readdirSync(at('.')).filter((name) => name.startsWith('.'))).toEqual([])
    expect(started(stage.packaged, stage.data)).toBe('0.3.0')
    stage.console.lie(sha256(files.get('agent/main.js')!))
  })

  test('without a wish stays as it is, and asks nothing', async () => {
    const one = board()
    await one.start()
    expect(one.software.state()).toEqual({
      version: 'packaged',
      arch: expect.any(String),
      state: 'packaged',
      outboxReads: OUTBOX_READS,
    })
    expect(one.states).toEqual([])
  })
})
