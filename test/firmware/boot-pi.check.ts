// The image on an emulated Raspberry Pi 3, started with what lies on its own boot partition: kernel, initramfs, device tree and
// command line, SD card controller and watchdog of that board, up to the agent's unit. QEMU's has no network that Debian's kernel drives.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildImage, IMAGE } from './built.ts'
import { partsOf } from './guest.ts'
import { giveWay, takeTurn } from './turns.ts'

/** Its watchdog resets at once in QEMU, where a board's counts to fifteen seconds. */
const FOR_QEMU = 'systemd.watchdog_sec=0 systemd.show_status=yes loglevel=7'
const FILES = ['vmlinuz', 'initrd.img', 'bcm2837-rpi-3-b.dtb', 'cmdline.txt']

let done: () => Promise<void>
let work: string
const at = (name: string): string => join(work, name)

beforeAll(async () => {
  giveWay()
  work = mkdtempSync(join(tmpdir(), 'bramble-pi-'))
  await buildImage()
  done = await takeTurn('emulator')
  execFileSync('cp', ['--sparse=always', `${IMAGE}.img`, at('card.img')])
  // QEMU wants a power of two, as cards have it.
  truncateSync(at('card.img'), 2 * 2 ** 30)
  const fat = `${at('card.img')}@@${partsOf(at('card.img'))[0]!.start * 512}`
  for (const name of FILES) execFileSync('mcopy', ['-i', fat, `::/${name}`, at(name)])
})
afterAll(async () => {
  rmSync(work, { recursive: true })
  await done()
})

test("a Raspberry Pi 3's device tree leads to the agent's unit", async () => {
  const child = spawn(
    'qemu-system-aarch64',
    [
      ...['-M', 'raspi3b', '-display', 'none', '-monitor', 'none', '-serial', 'null', '-serial', 'stdio', '-no-reboot'],
      ...['-kernel', at('vmlinuz'), '-initrd', at('initrd.img'), '-dtb', at('bcm2837-rpi-3-b.dtb')],
      ...['-append', `${readFileSync(at('cmdline.txt'), 'utf8').trim()} ${FOR_QEMU}`],
      ...['-drive', `file=${at('card.img')},format=raw,if=sd`],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const ended = once(child, 'exit')
  let said = ''
  const arrived = new Promise<void>((resolve) =>
    child.stdout.on('data', (chunk) => {
      said += String(chunk)
      if (/Reached target multi-user\.target/.test(stripVTControlCharacters(said))) resolve()
    }),
  )
  await Promise.race([arrived, ended])
  child.kill('SIGKILL')
  await ended
  for (const sign of [
    /Machine model: Raspberry Pi 3 Model B/,
    /mmcblk0: p1 p2 p3/,
    /Broadcom BCM2835 watchdog timer/,
    /bramble: e2fsck of the data partition ended with 0/,
    /EXT4-fs \(mmcblk0p3\): resized filesystem/,
    /Starting.*Bramble edge inference agent/,
    /Reached target multi-user\.target/,
  ])
    expect(stripVTControlCharacters(said)).toMatch(sign)
})
