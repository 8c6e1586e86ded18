// customize.sh on images laid out as Raspberry Pi OS lays them out: what the first boot would find on the card.
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CMDLINE, COMMENTS, FAT_AT, makeImage, ROOT_AT, type Stock } from './stock-image.ts'

const root = new URL('../..', import.meta.url).pathname
const MIB = 2 ** 20

let work: string
const at = (name: string): string => join(work, name)
const toml = 'console = "http://10.0.0.2:8080"\ntoken = "t"\n'

function stock(name: string, parts: Stock): string {
  makeImage(at(name), parts)
  return at(name)
}

function customize(image: string, ...more: string[]) {
  const out = `${image}.out`
  const args = ['firmware-scripts/customize.sh', '--image', image, '--deb', at('agent.deb'), '--out', out, ...more]
  const env = { ...process.env, TMPDIR: at('a tmp') }
  const { status, stderr } = spawnSync('bash', ['-c', 'umask 022; exec bash "$@"', 'bash', ...args], {
    cwd: root,
    encoding: 'utf8',
    env,
  })
  // Whatever came of it, nothing but the card is left.
  expect([existsSync(`${out}.part`), readdirSync(at('a tmp'))]).toEqual([false, []])
  const read = (file: string): string =>
    spawnSync('mtype', ['-i', `${out}@@${FAT_AT}`, `::/${file}`], { encoding: 'utf8' }).stdout
  return { status, said: stderr, read, out }
}

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'bramble-cards-'))
  mkdirSync(at('a tmp'))
  writeFileSync(at('agent.deb'), 'a package')
  writeFileSync(at('bramble.toml'), toml)
})
afterAll(() => rmSync(work, { recursive: true }))

describe('customize.sh', () => {
  test('prepares Trixie by cloud-init', () => {
    const image = stock('trixie', {
      fat: { 'cmdline.txt': CMDLINE, 'user-data': COMMENTS },
      boot: '/boot/firmware',
    })
    const { status, read } = customize(image, '--toml', at('bramble.toml'))
    expect(status).toBe(0)
    expect(read('user-data')).toMatch(
      /^#cloud-config\n[\s\S]*runcmd:\n {2}- \[sh, \/boot\/firmware\/bramble\/first-boot\.sh, --now\]\n$/,
    )
    expect(read('bramble.toml')).toBe(toml)
    expect(read('bramble/agent.deb')).toBe('a package')
    expect(read('bramble/first-boot.sh')).toBe(readFileSync(join(root, 'firmware-scripts/first-boot.sh'), 'utf8'))
    expect(read('cmdline.txt')).toBe(`cgroup_enable=memory ${CMDLINE}`)
    expect(customize(`${image}.out`).read('cmdline.txt')).toBe(`cgroup_enable=memory ${CMDLINE}`)
  })

  test('closes a card with a token to other users, and only that', () => {
    const image = stock('secret', { fat: { 'cmdline.txt': CMDLINE }, boot: '/boot/firmware' })
    const modeOf = (...more: string[]): number => statSync(customize(image, ...more).out).mode & 0o777
    expect(modeOf()).toBe(0o644)
    expect(modeOf('--toml', at('bramble.toml'))).toBe(0o600)
  })

  test.each([
    ['bookworm', '/boot/firmware'],
    ['bullseye', '/boot'],
  ])('prepares %s by firstrun', (name, boot) => {
    const { status, read } = customize(stock(name, { fat: { 'cmdline.txt': CMDLINE }, boot }))
    expect(status).toBe(0)
    expect(read('firstrun.sh')).toContain(`\nsh ${boot}/bramble/first-boot.sh\n`)
    expect(read('cmdline.txt').split('\n')).toEqual([
      `cgroup_enable=memory ${CMDLINE.trim()} systemd.run=${boot}/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target`,
      '',
    ])
  })

  test("keeps what Raspberry Pi Imager's firstrun.sh does, and comes before its end", () => {
    const imager = '#!/bin/bash\nset +e\nraspi-config nonint do_hostname porch\nrm -f /boot/firstrun.sh\nexit 0\n'
    const fat = { 'cmdline.txt': CMDLINE, 'firstrun.sh': imager }
    const { read } = customize(stock('imager', { fat, boot: '/boot/firmware' }))
    expect(read('firstrun.sh')).toBe(imager.replace('rm -f', 'sh /boot/firmware/bramble/first-boot.sh\nrm -f'))
  })

  test('leaves settings of others alone, and says what to do', () => {
    const fat = { 'cmdline.txt': CMDLINE, 'user-data': '#cloud-config\nhostname: porch\n' }
    const { status, said, out } = customize(stock('others', { fat, boot: '/boot/firmware' }))
    expect(status).toBe(2)
    // Without the agent in it, it would be flashed all the same.
    expect(existsSync(out)).toBe(false)
    expect(said).toMatch(/user-data holds settings already: add to its runcmd/)
  })

  test('puts a unit into the root file system, which stays whole', () => {
    const image = stock('unit', { fat: { 'cmdline.txt': CMDLINE }, boot: '/boot/firmware' })
    const { status, out } = customize(image, '--way', 'unit')
    expect(status).toBe(0)
    const place = `${out}?offset=${ROOT_AT}`
    const ask = (request: string): string => spawnSync('debugfs', ['-R', request, place], { encoding: 'utf8' }).stdout
    expect(ask('cat /etc/systemd/system/bramble-install.service')).toContain(
      'ExecStart=/bin/sh /boot/firmware/bramble/',
    )
    expect(ask('stat /etc/systemd/system/multi-user.target.wants/bramble-install.service')).toContain('Type: symlink')
    expect(spawnSync('e2fsck', ['-fn', place]).status).toBe(0)
  })

  test.each([
    [['--image', '/nowhere'], /\/nowhere cannot be read/],
    [['--way', 'magic'], /--way: must be auto/],
  ])('refuses %j', (args, sentence) => {
    const { status, said } = customize(at('bramble.toml'), ...args)
    expect(status).toBe(2)
    expect(said).toMatch(sentence)
  })

  test('refuses what is no image of a card, and a card without room', () => {
    expect(customize(at('bramble.toml')).said).toMatch(/has no partition table/)
    const image = stock('small', { fat: { 'cmdline.txt': CMDLINE }, boot: '/boot' })
    truncateSync(at('agent.deb'), 100 * MIB)
    expect(customize(image).said).toMatch(/the boot partition has 6\d MiB free and the package needs 101/)
  })
})
