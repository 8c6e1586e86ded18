import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const script = new URL('../../firmware-scripts/install.sh', import.meta.url).pathname
let root: string

const FIT = {
  BRAMBLE_TEST_MACHINE: 'aarch64',
  BRAMBLE_TEST_BITS: '64',
  BRAMBLE_TEST_GLIBC: '2.36',
  BRAMBLE_TEST_FREE_MIB: '5000',
}

function install(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const given = { ...FIT, PATH: process.env['PATH'], BRAMBLE_INSTALL_ROOT: root, ...env }
  const { status, stdout, stderr } = spawnSync('bash', [script, ...args], { encoding: 'utf8', env: given })
  return { status, said: stdout + stderr }
}

const release = (text: string): void => writeFileSync(join(root, 'etc/os-release'), text)

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bramble-install-'))
  mkdirSync(join(root, 'etc'))
  mkdirSync(join(root, 'run/systemd/system'), { recursive: true })
  release('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
})
afterEach(() => rmSync(root, { recursive: true }))

describe('install.sh --check', () => {
  test.each([
    ['Raspberry Pi OS', 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n', '2.41'],
    ['JetPack 6', 'ID=ubuntu\nID_LIKE=debian\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n', '2.35'],
  ])('finds %s fit', (_, text, glibc) => {
    release(text)
    expect(install(['--check'], { BRAMBLE_TEST_GLIBC: glibc })).toMatchObject({
      status: 0,
      said: expect.stringContaining('this board is fit'),
    })
  })

  test.each([
    ['a 32-bit board', { BRAMBLE_TEST_MACHINE: 'armv6l' }, /this machine is armv6l: the agent runs on 64-bit ARM/],
    ['a 32-bit system', { BRAMBLE_TEST_BITS: '32' }, /this system is 32-bit: flash the 64-bit Raspberry Pi OS/],
    ['JetPack 5', { BRAMBLE_TEST_GLIBC: '2.31' }, /glibc 2\.31 and 2\.34 is needed/],
    ['a full card', { BRAMBLE_TEST_FREE_MIB: '120' }, /120 MiB are free on the disk of \/usr and 700 are needed/],
    ['a clock in 1970', { BRAMBLE_TEST_NOW: '86400' }, /the clock says 1970-01-02/],
  ])('refuses %s with the reason', (_, env, sentence) => {
    const { status, said } = install(['--check'], env)
    expect(status).toBe(2)
    expect(said).toMatch(sentence)
  })

  test('refuses another family, and a system without systemd', () => {
    release('ID=alpine\nPRETTY_NAME="Alpine Linux v3.20"\n')
    rmSync(join(root, 'run'), { recursive: true })
    const { status, said } = install(['--check'])
    expect(status).toBe(2)
    expect(said).toMatch(/Alpine Linux v3\.20 is none of Debian's family[\s\S]*systemd does not run here/)
  })

  test('says every reason at once', () => {
    const { said } = install(['--check'], { BRAMBLE_TEST_FREE_MIB: '1', BRAMBLE_TEST_NOW: '1' })
    expect(said.match(/^refused: /gm)).toHaveLength(2)
  })
})

describe('install.sh', () => {
  test.each([
    [['--frobnicate'], /there is no option --frobnicate/],
    [['--console'], /--console needs a value/],
    [['--keep-data'], /--keep-data goes only with --uninstall/],
    [['--console', 'fleet.example', '--token', 't'], /fleet\.example is no address of a console/],
    [['--token', 't'], /a token needs the console it is for/],
    [['--console', 'http://c:1'], /a console needs a token/],
    [['--console', 'http://c:1', '--token-file', '/nowhere'], /\/nowhere cannot be read/],
    [['--deb', '/nowhere.deb'], /\/nowhere\.deb cannot be read/],
    [['--deb', '/etc/hostname'], /is no Debian package, and this board needs bramble-agent for arm64/],
  ])('refuses %j', (args, sentence) => {
    const { status, said } = install(args)
    expect(status).toBe(2)
    expect(said).toMatch(sentence)
  })

  test('may come by a pipe, from which then no token is read', () => {
    const given = { ...FIT, PATH: process.env['PATH'], BRAMBLE_INSTALL_ROOT: root }
    const args = ['-s', '--', '--console', 'http://c:1', '--token-file', '-']
    const input = readFileSync(script)
    const { status, stderr } = spawnSync('bash', args, { encoding: 'utf8', env: given, input })
    expect(stderr).toBe('refused: there is no token in -\n')
    expect(status).toBe(2)
  })

  test('has a page of help', () => {
    expect(install(['--help'])).toMatchObject({ status: 0, said: expect.stringContaining('--uninstall') })
  })
})
