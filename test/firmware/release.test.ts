import { spawnSync } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MIGRATIONS } from '../../agent/outbox/migrations.ts'
import { digestOfRelease } from '../../broker/protocol/packages.ts'
import { verifySoftware } from '../../broker/protocol/software.ts'
import { makeKey } from '../../console/up/models-sign.ts'
import { readKey, signFolder } from '../../firmware-scripts/release/signing.ts'

const root = new URL('../..', import.meta.url).pathname
let work: string
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'bramble-release-'))
})
afterEach(() => rmSync(work, { recursive: true }))

const write = (path: string, text: string, mode = 0o644): void => {
  mkdirSync(join(work, 'tree', path, '..'), { recursive: true })
  writeFileSync(join(work, 'tree', path), text)
  chmodSync(join(work, 'tree', path), mode)
}
const sign = (file: string) =>
  signFolder({
    folder: join(work, 'tree'),
    architecture: 'arm64',
    version: '1.2.3',
    publisher: 'acme',
    key: readKey(file),
    now: Date.UTC(2026, 10, 23),
  })

describe('a signed folder', () => {
  test('names every file as boards need it, under a key that publishers of models make too', async () => {
    const file = join(work, 'key.pem')
    const raw = await makeKey(file)
    write('agent/main.js', 'run()')
    write('node', 'ELF', 0o755)
    write('node_modules/@img/empty.js', '')
    // The one from before is not a part of it.
    write('release.jws', 'old')
    const digest = sign(file)
    const jws = readFileSync(join(work, 'tree/release.jws'), 'utf8').trim()
    expect(digestOfRelease(jws)).toBe(digest)
    const verified = verifySoftware(jws, () => raw)
    expect(verified).toMatchObject({
      ok: true,
      release: { version: '1.2.3', arch: 'arm64', publisher: 'acme', outbox: MIGRATIONS.length },
    })
    const files = verified.ok ? verified.release.files : []
    expect(files.map(({ path, bytes, run }) => [path, bytes, run])).toEqual([
      ['agent/main.js', 5, undefined],
      ['node', 3, true],
      ['node_modules/@img/empty.js', 0, undefined],
    ])
  })

  test('without the agent is none, and a path that no board takes is refused here', async () => {
    const file = join(work, 'key.pem')
    await makeKey(file)
    write('node', 'ELF', 0o755)
    expect(() => sign(file)).toThrow(/has no agent\/main.js/)
    write('agent/main.js', 'run()')
    write('agent/.hidden', 'x')
    expect(() => sign(file)).toThrow(/makes no release/)
    expect(existsSync(join(work, 'tree/release.jws'))).toBe(false)
  })
})

test('a key that others may read, that is none, or that is not there, is refused', async () => {
  const file = join(work, 'key.pem')
  expect(() => readKey(file)).toThrow(/there is no key at .*: make one with: npx bramble models keygen/)
  await makeKey(file)
  expect(createPublicKey(readKey(file)).asymmetricKeyType).toBe('ed25519')
  expect(readKey(file).equals(createPrivateKey(readFileSync(file)))).toBe(true)
  chmodSync(file, 0o644)
  expect(() => readKey(file)).toThrow(/others can read this secret/)
  writeFileSync(file, 'no key', { mode: 0o600 })
  chmodSync(file, 0o600)
  expect(() => readKey(file)).toThrow(/holds no Ed25519 private key/)
})

describe.each(['deb', 'release'])('firmware:%s', (name) => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [`firmware-scripts/${name}/main.ts`, ...args], { cwd: root, encoding: 'utf8' })

  test('explains itself', () => {
    expect(run('--help').stdout).toMatch(/^npm run firmware:/)
  })

  test.each(
    name === 'deb'
      ? [
          [['--software-key', 'acme'], /--software-key: "acme" is no publisher: write ID:KEY/],
          [['--arch', 'riscv64'], /--arch: must be arm64 or amd64, not riscv64/],
        ]
      : [
          [['--publisher', 'acme'], /--key: is missing/],
          [['--key', '/nowhere', '--publisher', 'a b'], /--publisher: must match/],
          [['--key', '/nowhere', '--publisher', 'acme'], /there is no key at \/nowhere/],
          [['--arch', 'riscv64'], /--arch: must be arm64 or amd64, not riscv64/],
        ],
  )('refuses %j before it builds anything', (args, sentence) => {
    const { status, stderr } = run(...(args as string[]))
    expect(status).toBe(2)
    expect(stderr).toMatch(sentence as RegExp)
  })
})
