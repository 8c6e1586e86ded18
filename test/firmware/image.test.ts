import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PUBLIC_MIRRORS, sourcesOf } from '../../firmware-scripts/image/base.ts'
import { emptyFolder, release } from '../../firmware-scripts/image/card.ts'
import { listOf } from '../../firmware-scripts/image/list.ts'

const main = new URL('../../firmware-scripts/image/main.ts', import.meta.url).pathname
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bramble-image-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const build = (args: readonly string[], env: NodeJS.ProcessEnv = process.env) =>
  spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', env })

describe('the boot partition', () => {
  const USED = 'console = "http://a"\r\ntoken = ""       \r\n'
  const place = new URL('../../firmware-scripts/image/root/etc/systemd/system/', import.meta.url)
  const unit = readFileSync(new URL('bramble-agent-boot.service.d/boot-partition.conf', place), 'utf8')
  const command = /^ExecCondition=\/bin\/sh -c '(.*)'$/m.exec(unit)?.[1]?.replaceAll('$$', '$') ?? ''

  test.each([
    ['a file that was used', 'bramble.toml', USED, false],
    ['one with a Wi-Fi that was used', 'bramble.toml', `${USED}[wifi]\r\nssid = "x"\r\npassword = ""  \r\n`, false],
    ['one with a new token', 'bramble.toml', USED.replace('""', '"t"'), true],
    ['one with a new password', 'bramble.toml', `${USED}[wifi]\r\nssid = "x"\r\npassword = "12345678"\r\n`, true],
    ['one that is wrong', 'bramble.toml', 'tokn = "t"', true],
    ['one that Windows named', 'bramble.toml.txt', USED.replace('""', '"t"'), true],
  ])('is made writable for %s: %s', (_, name, text, wanted) => {
    writeFileSync(join(folder, 'bramble.toml'), USED)
    writeFileSync(join(folder, name), text)
    const { status } = spawnSync('/bin/sh', ['-c', command.replace('/boot/firmware', folder)])
    expect(status === 0).toBe(wanted)
  })
})

describe('the image builder', () => {
  test('takes away what an interrupted build left', () => {
    mkdirSync(join(folder, 'image-work/root'), { recursive: true })
    expect(readdirSync(emptyFolder(join(folder, 'image-work')))).toEqual([])
  })

  test('explains itself', () => {
    const { status, stdout } = build(['--help'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/--toml[\s\S]*Must be run as root[\s\S]*mmdebstrap/)
  })

  test('names every missing Debian package at once, or that it must be root', () => {
    const { status, stderr } = build([], { PATH: folder })
    expect(status).toBe(2)
    expect(stderr).toMatch(/^Debian packages are missing: apt-get install (\S+ ){3,}|^run this as root/)
  })

  test('refuses options that it does not have', () => {
    const { status, stderr } = build(['--size', '3'])
    expect(status).toBe(2)
    expect(stderr).toMatch(/--size/)
  })

  test("leaves Debian's public address in the image", () => {
    const hosts = sourcesOf(PUBLIC_MIRRORS).match(/https?:\/\/[^/]+/g)
    expect(new Set(hosts)).toEqual(new Set(['http://deb.debian.org']))
  })
})

test.skipIf(spawnSync('xz', ['--version']).error)('a card with a token is closed to other users', () => {
  const image = join(folder, 'os.img')
  const modes = [true, false].map((holdsToken) => {
    writeFileSync(join(folder, 'card.img'), 'a card')
    release({ card: join(folder, 'card.img'), image, holdsToken, isQuick: false })
    return [image, `${image}.xz`].map((file) => statSync(file).mode & 0o777)
  })
  expect(modes).toEqual([
    [0o600, 0o600],
    [0o644, 0o644],
  ])
})

test.skipIf(spawnSync('xz', ['--version']).error)(
  'an image that stays here is compressed less than one for a release',
  () => {
    const image = join(folder, 'os.img')
    // What repeats at a distance, only the slower way sees.
    const half = randomBytes(2 ** 20)
    const sizes = [false, true].map((isQuick) => {
      writeFileSync(join(folder, 'card.img'), Buffer.concat([half, half]))
      release({ card: join(folder, 'card.img'), image, holdsToken: false, isQuick })
      return statSync(`${image}.xz`).size
    })
    expect(sizes.map((size) => Math.round(size / half.length))).toEqual([1, 2])
  },
)

test('the list for Raspberry Pi Imager says what its files are', async () => {
  const [image, compressed] = [join(folder, 'os.img'), join(folder, 'os.img.xz')]
  writeFileSync(image, 'an image')
  writeFileSync(compressed, 'shorter')
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
  const list = await listOf({ version: '1.2.3', image, compressed, base: 'https://example.org/os', date: '2026-11-23' })
  expect(list.os_list).toEqual([
    {
      name: 'Bramble 1.2.3 (64-bit)',
      description: expect.any(String),
      icon: 'https://example.org/os/bramble.svg',
      url: 'https://example.org/os/os.img.xz',
      extract_size: 8,
      extract_sha256: sha256('an image'),
      image_download_size: 7,
      image_download_sha256: sha256('shorter'),
      release_date: '2026-11-23',
      architecture: 'armv8',
      devices: ['pi3-64bit', 'pi4-64bit'],
    },
  ])
})
