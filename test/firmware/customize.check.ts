// customize.sh on images laid out as Raspberry Pi OS lays them out: what the first boot would find on the card.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = new URL('../..', import.meta.url).pathname
const MIB = 2 ** 20
/** In sectors of 512 bytes, as Raspberry Pi OS has its first partition, but smaller. */
const TABLE = 'label: dos\nstart=8192, size=131072, type=c\nstart=139264, type=83\n'
const FAT_AT = 4 * MIB
const ROOT_AT = 139_264 * 512

let work: string
const at = (name: string): string => join(work, name)
const toml = 'console = "http://10.0.0.2:8080"\ntoken = "t"\n'

interface Stock {
  readonly fat: Readonly<Record<string, string>>
  /** Where fstab mounts the boot partition. */
  readonly boot: string
}

function makeImage(name: string, { fat, boot }: Stock): string {
  const [image, first, second, tree] = [at(name), at(`${name}.fat`), at(`${name}.ext4`), at(`${name}.tree`)]
  writeFileSync(image, '')
  truncateSync(image, 160 * MIB)
  execFileSync('sfdisk', ['--quiet', image], { input: TABLE, stdio: ['pipe', 'ignore', 'inherit'] })
  writeFileSync(first, '')
  truncateSync(first, 64 * MIB)
  execFileSync('mkfs.vfat', ['-n', 'BOOTFS', first], { stdio: 'ignore' })
  for (const [file, text] of Object.entries(fat))
    execFileSync('mcopy', ['-i', first, '-', `::/${file}`], { input: text, stdio: ['pipe', 'ignore', 'inherit'] })
  mkdirSync(join(tree, 'etc/systemd/system'), { recursive: true })
  writeFileSync(join(tree, 'etc/fstab'), `PARTUUID=1-01  ${boot}  vfat  defaults  0  2\n`)
  execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', tree, second, '64M'], { stdio: 'ignore' })
  for (const [part, place] of [
    [first, FAT_AT],
    [second, ROOT_AT],
  ] as const)
    execFileSync('dd', [`if=${part}`, `of=${image}`, 'bs=1M', `seek=${place / MIB}`, 'conv=notrunc', 'status=none'])
  return image
}

function customize(image: string, ...more: string[]) {
  const out = `${image}.out`
  const args = ['firmware-scripts/customize.sh', '--image', image, '--deb', at('agent.deb'), '--out', out, ...more]
  const { status, stderr } = spawnSync('bash', args, { cwd: root, encoding: 'utf8' })
  const read = (file: string): string =>
    spawnSync('mtype', ['-i', `${out}@@${FAT_AT}`, `::/${file}`], { encoding: 'utf8' }).stdout
  return { status, said: stderr, read, out }
}

const CMDLINE = 'console=tty1 root=PARTUUID=1-02 rootwait quiet\n'
const COMMENTS = '#cloud-config\n\n# hostname: raspberrypi\n'

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'bramble-cards-'))
  writeFileSync(at('agent.deb'), 'a package')
  writeFileSync(at('bramble.toml'), toml)
})
afterAll(() => rmSync(work, { recursive: true }))

describe('customize.sh', () => {
  test('prepares Trixie by cloud-init', () => {
    const image = makeImage('trixie', {
      fat: { 'cmdline.txt': CMDLINE, 'user-data': COMMENTS },
      boot: '/boot/firmware',
    })
    const { status, read } = customize(image, '--toml', at('bramble.toml'))
    expect(status).toBe(0)
    expect(read('user-data')).toMatch(
      /^#cloud-config\n[\s\S]*runcmd:\n {2}- \[sh, \/boot\/firmware\/bramble\/first-boot\.sh\]\n$/,
    )
    expect(read('bramble.toml')).toBe(toml)
    expect(read('bramble/agent.deb')).toBe('a package')
    expect(read('bramble/first-boot.sh')).toBe(readFileSync(join(root, 'firmware-scripts/first-boot.sh'), 'utf8'))
    expect(read('cmdline.txt')).toBe(CMDLINE)
  })

  test.each([
    ['bookworm', '/boot/firmware'],
    ['bullseye', '/boot'],
  ])('prepares %s by firstrun', (name, boot) => {
    const { status, read } = customize(makeImage(name, { fat: { 'cmdline.txt': CMDLINE }, boot }))
    expect(status).toBe(0)
    expect(read('firstrun.sh')).toContain(`\nsh ${boot}/bramble/first-boot.sh\n`)
    expect(read('cmdline.txt').split('\n')).toEqual([
      `${CMDLINE.trim()} systemd.run=${boot}/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target`,
      '',
    ])
  })

  test("keeps what Raspberry Pi Imager's firstrun.sh does, and comes before its end", () => {
    const imager = '#!/bin/bash\nset +e\nraspi-config nonint do_hostname porch\nrm -f /boot/firstrun.sh\nexit 0\n'
    const fat = { 'cmdline.txt': CMDLINE, 'firstrun.sh': imager }
    const { read } = customize(makeImage('imager', { fat, boot: '/boot/firmware' }))
    expect(read('firstrun.sh')).toBe(imager.replace('rm -f', 'sh /boot/firmware/bramble/first-boot.sh\nrm -f'))
  })

  test('leaves settings of others alone, and says what to do', () => {
    const fat = { 'cmdline.txt': CMDLINE, 'user-data': '#cloud-config\nhostname: porch\n' }
    const { status, said } = customize(makeImage('others', { fat, boot: '/boot/firmware' }))
    expect(status).toBe(2)
    expect(said).toMatch(/user-data holds settings already: add to its runcmd/)
  })

  test('puts a unit into the root file system, which stays whole', () => {
    const image = makeImage('unit', { fat: { 'cmdline.txt': CMDLINE }, boot: '/boot/firmware' })
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
    const image = makeImage('small', { fat: { 'cmdline.txt': CMDLINE }, boot: '/boot' })
    truncateSync(at('agent.deb'), 100 * MIB)
    expect(customize(image).said).toMatch(/the boot partition has 6\d MiB free and the package needs 101/)
  })
})
