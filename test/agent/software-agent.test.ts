// A real agent with its real inference process: from its sources it says that it cannot be updated; behind the real launcher it shows
// itself well and is kept.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InfoMessage } from '../../broker/protocol/messages.ts'
import { killed, type openBoard as Open, openBoard } from './board.ts'
import { type Console, createPublisher, MODELS, removeFolders, startConsole, temporaryFolder } from './packages-rig.ts'
import { versionFiles } from './software-rig.ts'

const root = new URL('../..', import.meta.url).pathname
const acme = createPublisher()
let console: Console
let board: Awaited<ReturnType<typeof Open>>
let models: string

beforeAll(async () => {
  console = await startConsole([acme])
  models = await temporaryFolder()
  cpSync(join(MODELS, 'fashion'), join(models, 'fashion'), { recursive: true })
  const files = versionFiles('9.9.9')
  console.wantSoftware(console.offerSoftware('9.9.9', files, acme.signSoftware('9.9.9', files)))
  board = await openBoard(['--models', models], console.listener)
})
afterAll(async () => {
  await board.close()
  await console.close()
  await removeFolders()
})

const info = (fits: (info: InfoMessage) => boolean, from = 0): Promise<InfoMessage> =>
  board.ear.find(({ topic, payload }) => {
    const said = topic.kind === 'info' ? InfoMessage.parse(JSON.parse(payload.toString())) : undefined
    return said && fits(said) ? said : undefined
  }, from)

test('from its sources it says that it cannot be updated, and serves', async () => {
  await board.serving()
  const { software } = await info((said) => said.software?.wanted !== undefined)
  expect(software).toMatchObject({ state: 'packaged', wanted: { version: '9.9.9', state: 'refused' } })
  expect(software?.wanted?.reason).toMatch(/not started by the launcher of its Debian package/)
  await killed(board.agent().child)
})

test('a new version that serves, beats and infers well is kept, and the launcher passes its stop on', {
  timeout: 60_000,
}, async () => {
  console.wantSoftware()
  const home = await temporaryFolder()
  const slot = join(board.folder, 'software/a')
  mkdirSync(join(slot, 'agent'), { recursive: true })
  mkdirSync(join(home, 'agent'))
  symlinkSync(process.execPath, join(slot, 'node'))
  writeFileSync(join(slot, 'package.json'), '{"type":"module"}')
  writeFileSync(join(slot, 'agent/main.js'), `await import(${JSON.stringify(join(root, 'agent/main.ts'))})\n`)
  cpSync(join(root, 'firmware-scripts/deb/files/launch'), join(home, 'launch'))
  chmodSync(join(home, 'launch'), 0o755)
  renameSync(models, join(home, 'models'))
  writeFileSync(join(board.folder, 'software/trial'), 'slot=a\nbefore=packaged\nrelease=r\nversion=2.0.0\nbad=0\n')
  symlinkSync('a', join(board.folder, 'software/current'))

  const from = board.ear.heard.length
  const env = { PATH: process.env['PATH'], HOME: home, BRAMBLE_DATA: board.folder, BRAMBLE_TRIAL_S: '6' }
  const child = spawn(join(home, 'launch'), ['run'], { env, stdio: 'ignore' })
  expect((await info((said) => said.software !== undefined, from)).software?.state).toBe('trial')
  const kept = await info((said) => said.software?.state === 'confirmed', from)
  expect(kept.software).not.toHaveProperty('wanted')
  expect(existsSync(join(board.folder, 'software/trial'))).toBe(false)
  expect(readFileSync(join(board.folder, 'software/confirmed'), 'utf8')).toMatch(/^version=2.0.0$/m)
  expect(existsSync(join(board.folder, 'software/starts'))).toBe(false)
  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')
  expect(code).toBe(0)
  expect(await board.status('offline', from)).toBe('offline')
})
