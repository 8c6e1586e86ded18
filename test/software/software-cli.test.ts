// `bramble software …` as an operator types it, against a running console and two boards that are played over real MQTT.
import { execFile } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { SoftwareState } from '../../broker/protocol/messages.ts'
import { Desired, digestOfRelease, PACKAGE_PATHS } from '../../broker/protocol/packages.ts'
import { signSoftware } from '../../broker/protocol/software.ts'
import type { Overview, SoftwareView } from '../../console/routes/shapes.ts'
import { makeFolder, removeFolders, sha256 } from '../console/registry-rig.ts'
import {
  PACKAGE_ROOT,
  startTestBoard,
  startTestConsole,
  type TestBoard,
  type TestConsole,
  until,
} from '../console/running-console.ts'

let here: TestConsole
let boards: [TestBoard, TestBoard]
let work: string
let key: string

const bramble = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const all = [join(PACKAGE_ROOT, 'console/bramble.js'), ...args, '--url', here.url, '--token', here.keys.token]
    const child = execFile(process.execPath, args[0] === 'models' ? all.slice(0, -4) : all, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out: out.trim(), err: err.trim() }),
    )
  })
const view = async (): Promise<SoftwareView> => (await (await here.call('/api/software')).json()) as SoftwareView

/** A release as `npm run firmware:release` makes one, but small. */
async function makeRelease(version: string): Promise<{ folder: string; digest: string }> {
  const folder = join(work, `bramble-agent_${version}_amd64`)
  const main = Buffer.from(`console.log('${version}')\n`)
  await mkdir(join(folder, 'agent'), { recursive: true })
  await writeFile(join(folder, 'agent/main.js'), main)
  const files = [{ path: 'agent/main.js', sha256: sha256(main), bytes: main.byteLength }]
  const jws = signSoftware(
    {
      software: 'bramble-agent',
      version,
      arch: 'amd64',
      publisher: 'maker',
      at: '2026-11-23T00:00:00Z',
      outbox: 3,
      files,
    },
    createPrivateKey(await readFile(join(work, 'key.pem'), 'utf8')),
  )
  await writeFile(join(folder, 'release.jws'), `${jws}\n`)
  return { folder, digest: digestOfRelease(jws) }
}

const wish = async (board: TestBoard, query = '?arch=amd64') =>
  Desired.parse(await (await here.call(`${PACKAGE_PATHS.desired}${query}`, {}, board.credential)).json()).software

async function say(board: TestBoard, software: Omit<SoftwareState, 'arch'>): Promise<void> {
  const info = here.trades.devices.get(board.id)?.info
  await board.say({ kind: 'info', device: board.id }, { ...info, software: { ...software, arch: 'amd64' } }, true)
  await until(
    () => here.trades.devices.get(board.id)?.info?.software?.state === software.state || undefined,
    'the birth message',
  )
}
const newest = () => here.trades.packages.software.rollouts.list()[0]

beforeAll(async () => {
  here = await startTestConsole()
  boards = [await startTestBoard(here), await startTestBoard(here)]
  work = await makeFolder()
  const made = await bramble('models', 'keygen', join(work, 'key.pem'))
  key = made.out.split('\n')[1] ?? ''
})
afterAll(async () => {
  for (const { link } of boards) await link.close()
  await here.close()
  await removeFolders()
})

it('says how to begin where nothing was published', async () => {
  expect((await bramble('software', 'status')).out).toContain('npm run firmware:release')
  expect(await bramble('software', 'rollout', '9.9.9')).toMatchObject({
    code: 1,
    err: expect.stringContaining('publish it first'),
  })
})

it('takes a version of a publisher of software that was let in, and of no publisher of models', async () => {
  const { folder, digest } = await makeRelease('1.0.0')
  expect(await bramble('software', 'publish', folder)).toMatchObject({
    code: 1,
    err: expect.stringContaining('bramble software trust'),
  })
  await here.call('/api/publishers', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: 'maker', key }),
  })
  expect(await bramble('software', 'publish', folder)).toMatchObject({ code: 1 })
  expect((await bramble('software', 'trust', 'maker', key)).out).toContain(`--software-key maker:${key}`)
  expect((await bramble('software', 'publish', folder)).out).toMatch(
    /^1\.0\.0 for amd64 is published \(21 bytes sent\)/,
  )
  expect((await bramble('software', 'publish', folder)).out).toContain('here already')
  const served = await here.call(PACKAGE_PATHS.release(digest), {}, boards[0].credential)
  expect(digestOfRelease(await served.text())).toBe(digest)
  const blob = await here.call(PACKAGE_PATHS.blob(sha256("console.log('1.0.0')\n")), {}, boards[0].credential)
  expect(await blob.text()).toBe("console.log('1.0.0')\n")
})

it('is for boards that can run it, the first ones first, and for the rest once those have proved it', async () => {
  const [first, second] = boards
  expect(await bramble('software', 'rollout', '1.0.0')).toMatchObject({
    code: 1,
    err: expect.stringContaining('online'),
  })
  for (const board of boards) await say(board, { version: '0.1.0', state: 'packaged' })
  expect(await bramble('software', 'rollout', '1.0.0', '--canary', first.id)).toMatchObject({ code: 0 })
  const { release = '' } = (await wish(first)) ?? {}
  expect(release).toHaveLength(64)
  expect([await wish(second), await wish(first, ''), await wish(first, '?arch=arm64')]).toEqual([
    undefined,
    undefined,
    undefined,
  ])
  await say(first, { version: '1.0.0', release, state: 'trial' })
  await until(async () => (await view()).rollout?.rings[0]?.boards.trial === 1 || undefined, 'the trial')
  await say(first, { version: '1.0.0', release, state: 'confirmed' })
  await until(() => newest()?.state === 'widening' || undefined, 'the next ring')
  await until(async () => (await wish(second)) !== undefined || undefined, 'the second board')
  await say(second, { version: '1.0.0', release, state: 'confirmed' })
  await until(() => newest()?.state === 'done' || undefined, 'the end')
  expect((await bramble('software', 'status')).out).toMatch(/Rollout of 1\.0\.0: done/)
})

it('stops by itself where a board went back, says so on top of the page, and goes back on command', async () => {
  const [first] = boards
  const { folder, digest } = await makeRelease('1.1.0')
  await bramble('software', 'publish', folder)
  await bramble('software', 'rollout', '1.1.0', '--canary', first.id)
  const before = (await wish(boards[1]))?.release
  const wanted = { version: '1.1.0', release: digest, state: 'rolled-back', reason: 'it ended three times' } as const
  await first.say(
    { kind: 'info', device: first.id },
    {
      ...here.trades.devices.get(first.id)?.info,
      software: { version: '1.0.0', release: before, state: 'confirmed', arch: 'amd64', wanted },
    },
    true,
  )
  await until(() => newest()?.state === 'stopped' || undefined, 'the stop')
  expect((await bramble('software', 'status')).out).toContain('it ended three times')
  const { health } = (await (await here.call('/api/overview')).json()) as Overview
  expect(health.sentence).toContain('The rollout of agent 1.1.0 stopped')
  expect(await wish(first)).toEqual({ version: '1.0.0', release: before })
  expect((await bramble('software', 'rollback')).out).toBe('The rollout of 1.1.0 is rolled-back.')
  expect(await bramble('software', 'resume')).toMatchObject({ code: 1 })
})

it('tells no board to run anything of a publisher that was revoked', async () => {
  await bramble('software', 'revoke', 'maker')
  expect(await wish(boards[0])).toBeUndefined()
})
