// Images laid out as Raspberry Pi OS lays them out, but small: a boot partition and a root file system with nothing but an fstab.
import { execFileSync } from 'node:child_process'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const MIB = 2 ** 20
/** In sectors of 512 bytes, as Raspberry Pi OS has its first partition, but smaller. */
const TABLE = 'label: dos\nstart=8192, size=131072, type=c\nstart=139264, type=83\n'
/** In bytes. */
export const FAT_AT = 4 * MIB
export const ROOT_AT = 139_264 * 512

export interface Stock {
  readonly fat: Readonly<Record<string, string>>
  /** Where fstab mounts the boot partition. */
  readonly boot: string
}

/** Writes `image`, and its parts beside it. */
export function makeImage(image: string, { fat, boot }: Stock): void {
  const [first, second, tree] = [`${image}.fat`, `${image}.ext4`, `${image}.tree`]
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
}

export const CMDLINE = 'console=tty1 root=PARTUUID=1-02 rootwait quiet\n'
export const COMMENTS = '#cloud-config\n\n# hostname: raspberrypi\n'
