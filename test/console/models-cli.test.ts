// `bramble models …` as a publisher and an operator type it, against a running console.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ReleaseView } from '../../console/routes/shapes.ts'
import { makeFolder, makePackage, removeFolders } from './registry-rig.ts'
import { PACKAGE_ROOT, startTestConsole, type TestConsole, until } from './running-console.ts'

let here: TestConsole
let folder: string
let keys: string
let publicKey: string

/** Exit code and both outputs of one command. */
const models = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const main = join(PACKAGE_ROOT, 'console/bramble.js')
    const child = execFile(process.execPath, [main, 'models', ...args], (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out: out.trim(), err: err.trim() }),
    )
  })
const here_ = (): string[] => ['--url', here.url, '--token', here.keys.token]

beforeAll(async () => {
  here = await startTestConsole()
  folder = await makePackage('fashion', '1.1.0')
  keys = join(await makeFolder(), 'keys')
  await until(
    async () => ((await (await here.call('/api/releases')).json()) as ReleaseView[]).length === 5 || undefined,
    "the folder's packages",
  )
})
afterAll(async () => {
  await here.close()
  await removeFolders()
})

it('makes a key for its owner alone, and never writes over one', async () => {
  const made = await models('keygen', join(keys, 'key.pem'))
  expect([made.code, made.err]).toEqual([0, ''])
  publicKey = made.out.split('\n')[1]!
  expect(publicKey).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{42}$/)
  expect((await stat(join(keys, 'key.pem'))).mode & 0o777).toBe(0o600)
  const before = await readFile(join(keys, 'key.pem'), 'utf8')
  expect(await models('keygen', join(keys, 'key.pem'))).toMatchObject({
    code: 1,
    err: expect.stringMatching(/never overwritten$/),
  })
  expect(await readFile(join(keys, 'key.pem'), 'utf8')).toBe(before)
})

it('publishes a package of a publisher that was let in, sending only what the console lacks', async () => {
  const args = ['publish', folder, '--key', join(keys, 'key.pem'), '--publisher', 'fabrik', ...here_()]
  expect(await models(...args)).toMatchObject({ code: 1, err: expect.stringContaining('bramble models trust') })
  expect(await models('trust', 'fabrik', publicKey, ...here_())).toMatchObject({ code: 0 })
  const { size } = await stat(join(folder, 'model.json'))
  expect(await models(...args)).toEqual({
    code: 0,
    err: '',
    out: `fashion@1.1.0 of fabrik is published (${size} bytes sent). Boards serve it once you say so: bramble models desire fashion@1.1.0`,
  })
  expect(await models(...args)).toMatchObject({ code: 0, out: 'fashion@1.1.0 is here already, with the same files.' })
})

it('says which version boards should serve, lists it, and goes back', async () => {
  expect((await models('desire', 'fashion@1.1.0', ...here_())).out).toMatch(
    /^fashion on the fleet: the boards' own → 1\.1\.0\./,
  )
  const { out } = await models('list', ...here_())
  expect(out).toMatch(/^ {2}\* 1\.1\.0 +fabrik +\d+ KiB {2}0 boards\n {4}1\.0\.0 +operator/m)
  expect(out).toContain('1.1.0 is set for the fleet, and no board is there to serve it.')
  expect((await models('rollback', 'fashion', ...here_())).out).toMatch(/1\.1\.0 → the boards' own\./)
})

it('finds the console by its data folder', async () => {
  const token = ['--url', here.url, '--data', here.data]
  expect(await models('list', ...token)).toMatchObject({ code: 0 })
  const nowhere = await makeFolder()
  expect(await models('list', '--data', nowhere)).toMatchObject({
    code: 1,
    err: expect.stringContaining('--url and --token'),
  })
  const ready = { console: { url: here.url, token: here.keys.token } }
  await writeFile(join(nowhere, 'ready.json'), JSON.stringify(ready))
  expect(await models('list', '--data', nowhere)).toMatchObject({ code: 0 })
})

it.each([
  ['a version that is not here', ['desire', 'fashion@9.9.9'], /fashion@9\.9\.9 is not here: publish it first/],
  ['a model without a version', ['desire', 'fashion'], /write MODEL@VERSION/],
  ['a board that nobody knows', ['desire', 'fashion@1.0.0', '--device', 'dev-x'], /There is no board dev-x/],
  [
    'a folder without a package',
    ['publish', '/', '--key', 'KEY', '--publisher', 'fabrik'],
    /model\.json cannot be read: \/ is no folder of a model package/,
  ],
  [
    'a key that is none',
    ['publish', 'FOLDER', '--key', '/dev/null', '--publisher', 'fabrik'],
    /others may read it|no Ed25519/,
  ],
  ['a publisher that was not named', ['publish', 'FOLDER', '--key', 'KEY'], /--publisher is needed/],
  ['a public key that is none', ['trust', 'fabrik', 'abc'], /key: must be a public key, the 43 characters that keygen/],
  ['a mistyped option', ['desire', 'fashion@1.0.0', '--devise', 'dev-x'], /--devise: there is no such option/],
  ['a word too many', ['desire', 'fashion@1.0.0', 'mobilenet-v1@1.0.0'], /mobilenet-v1@1\.0\.0: one word too many/],
])('explains %s in one line', async (_, args, message) => {
  const real = args.map((arg) => (arg === 'FOLDER' ? folder : arg === 'KEY' ? join(keys, 'key.pem') : arg))
  const { code, out, err } = await models(...real, ...here_())
  expect([code, out]).toEqual([1, ''])
  expect(err).toMatch(message)
  expect(err.split('\n')).toHaveLength(1)
})

it('ends without a word where nobody reads on', async () => {
  const main = join(PACKAGE_ROOT, 'console/main.ts')
  const child = execFile(process.execPath, [main, 'models', 'list', ...here_()])
  child.stdout?.destroy()
  let said = ''
  child.stderr?.on('data', (chunk: string) => {
    said += chunk
  })
  const [code] = await once(child, 'exit')
  expect([code, said]).toEqual([141, ''])
})
