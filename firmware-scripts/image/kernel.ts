// Kernel, device trees and a small initramfs, taken out of the root file system: they belong on the boot partition.
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { BuildError } from '../deb/packages.ts'
import { run } from './commands.ts'

/** What stands between the kernel and the root partition: of virtual machines, of Raspberry Pis; and both watchdogs. */
const EARLY = [
  ...['virtio_mmio', 'virtio_pci', 'virtio_blk', 'fixed', 'gpio-regulator', 'bcm2835', 'sdhci-iproc'],
  ...['ext4', 'overlay', 'i6300esb', 'bcm2835_wdt'],
]
/** A third of all drivers, for which no board has a use. */
const UNUSED = ['sound', 'drivers/gpu', 'drivers/infiniband']
const ETHERNET = 'drivers/net/ethernet'
/** Raspberry Pi 3, 4, Zero 2 W; `_cd`, `_db` and `_x` are variants for other needs. */
const FIRMWARE = ['bootcode.bin', 'start.elf', 'fixup.dat', 'start4.elf', 'fixup4.dat']

interface Options {
  /** The root file system: what moves out of it is gone there. */
  readonly tree: string
  /** The future content of the boot partition. */
  readonly boot: string
  /** The first program of the initramfs. */
  readonly init: string
}

/** Fills `boot` with vmlinuz, initrd.img, device trees and firmware. */
export function takeOutKernel({ tree, boot, init }: Options): void {
  const at = (path: string): string => join(tree, path)
  const [release, ...others] = readdirSync(at('lib/modules'))
  if (release === undefined || others.length > 0) throw new BuildError(`one kernel, not ${others.length + 1}`)
  mkdirSync(boot, { recursive: true })
  copyFileSync(at(`boot/vmlinuz-${release}`), join(boot, 'vmlinuz'))
  const trees = at(`usr/lib/linux-image-${release}/broadcom`)
  for (const name of readdirSync(trees).filter((file) => /^bcm2(711|837)-rpi-.*\.dtb$/.test(file)))
    copyFileSync(join(trees, name), join(boot, name))
  for (const name of FIRMWARE) copyFileSync(at(`usr/lib/raspi-firmware/${name}`), join(boot, name))
  copyFileSync(at('usr/share/doc/raspi-firmware/copyright'), join(boot, 'LICENCE.firmware'))
  dropUnused(tree, release)
  run('depmod', ['-b', tree, release])
  writeFileSync(join(boot, 'initrd.img'), initramfs({ tree, release, init }))
  for (const path of ['usr/lib/raspi-firmware', `usr/lib/linux-image-${release}`, 'etc/kernel', 'etc/initramfs'])
    rmSync(at(path), { recursive: true, force: true })
  for (const name of readdirSync(at('boot')).filter((file) => file.endsWith(release))) rmSync(at(`boot/${name}`))
}

function dropUnused(tree: string, release: string): void {
  const drivers = join(tree, 'lib/modules', release, 'kernel')
  const cards = readdirSync(join(drivers, ETHERNET)).filter((name) => name !== 'broadcom')
  for (const path of [...UNUSED, ...cards.map((name) => `${ETHERNET}/${name}`)])
    rmSync(join(drivers, path), { recursive: true })
}

/** The modules of EARLY, each after those it needs. */
function modulesInOrder(tree: string, release: string): string[] {
  const args = (name: string): string[] => ['-d', tree, '-S', release, '--show-depends', name]
  const lines = EARLY.flatMap((name) => run('modprobe', args(name)).toString().split('\n'))
  return [...new Set(lines.flatMap((line) => /^insmod (\S+)/.exec(line)?.[1] ?? []))]
}

/** busybox, modules, one script: two megabytes. */
function initramfs({ tree, release, init }: { tree: string; release: string; init: string }): Buffer {
  const folder = `${tree}.initramfs`
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, 'bin'), { recursive: true })
  cpSync(join(tree, 'bin/busybox'), join(folder, 'bin/busybox'))
  cpSync(init, join(folder, 'init'))
  chmodSync(join(folder, 'init'), 0o755)
  const modules = modulesInOrder(tree, release)
  for (const module of modules) cpSync(module, join(folder, basename(module)))
  writeFileSync(join(folder, 'modules'), modules.map((module) => `/${basename(module)}\n`).join(''))
  const packed = run('sh', ['-c', 'find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible | gzip -9n'], {
    cwd: folder,
  })
  rmSync(folder, { recursive: true })
  return packed
}
