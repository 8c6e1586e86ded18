// What `npm run test:firmware` needs from Debian, said at once before anything is built. It installs nothing itself.
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** A file of each package that only this package brings. */
const NEEDED: Readonly<Record<string, string>> = {
  'dpkg-deb': 'dpkg',
  'x86_64-linux-gnu-strip': 'binutils-x86-64-linux-gnu',
  'aarch64-linux-gnu-strip': 'binutils-aarch64-linux-gnu',
  'qemu-aarch64-static': 'qemu-user-static',
  mcopy: 'mtools',
  'mkfs.vfat': 'dosfstools',
  sfdisk: 'fdisk',
  debugfs: 'e2fsprogs',
  mmdebstrap: 'mmdebstrap',
  'arch-test': 'arch-test',
  depmod: 'kmod',
  cpio: 'cpio',
  xz: 'xz-utils',
  'qemu-system-aarch64': 'qemu-system-arm',
  'systemd-nspawn': 'systemd-container',
  unshare: 'util-linux',
}
const FILES: Readonly<Record<string, string>> = {
  '/usr/aarch64-linux-gnu/lib/libc.so.6': 'libc6-arm64-cross',
  '/usr/aarch64-linux-gnu/lib/libstdc++.so.6': 'libstdc++6-arm64-cross',
  '/usr/aarch64-linux-gnu/lib/libgcc_s.so.1': 'libgcc-s1-arm64-cross',
}

const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin']
const isThere = (program: string): boolean => folders.some((folder) => existsSync(join(folder, program)))

export function setup(): void {
  const missing = [
    ...Object.entries(NEEDED).flatMap(([program, name]) => (isThere(program) ? [] : [name])),
    ...Object.entries(FILES).flatMap(([file, name]) => (existsSync(file) ? [] : [name])),
  ]
  if (missing.length > 0)
    throw new Error(`test:firmware needs Debian packages that are not installed: apt-get install ${missing.join(' ')}`)
  if (process.getuid?.() !== 0) throw new Error('test:firmware must run as root: it makes root file systems and mounts')
}
