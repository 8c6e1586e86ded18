// The root file system of the image: Debian's, kernel modules and firmware, the agent's package, and our few files.
import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Base, PUBLIC_MIRRORS, sourcesOf } from './base.ts'
import { run } from './commands.ts'

/** Units that do again at each boot what does not change, or serve people who log in: nobody can. */
const MASKED = [
  ...['systemd-hwdb-update.service', 'systemd-journal-catalog-update.service', 'systemd-sysusers.service'],
  ...['systemd-update-done.service', 'systemd-machine-id-commit.service', 'systemd-network-generator.service'],
  ...['systemd-update-utmp.service', 'systemd-update-utmp-runlevel.service', 'systemd-user-sessions.service'],
  ...['systemd-logind.service', 'getty@.service', 'serial-getty@.service', 'wpa_supplicant.service'],
  ...[
    'apt-daily.timer',
    'apt-daily-upgrade.timer',
    'dpkg-db-backup.timer',
    'e2scrub_all.timer',
    'e2scrub_reap.service',
  ],
  ...['sys-kernel-debug.mount', 'sys-kernel-tracing.mount', 'sys-kernel-config.mount', 'sys-fs-fuse-connections.mount'],
  ...['dev-hugepages.mount', 'dev-mqueue.mount', 'modprobe@.service'],
]
const ENABLED = ['systemd-networkd.service', 'systemd-resolved.service', 'bramble-grow.service']

interface Options {
  /** Emptied before. */
  readonly tree: string
  readonly base: Base
  /** The agent's package. */
  readonly deb: string
  /** Holds what is laid over the tree. */
  readonly files: string
  readonly tell: (line: string) => void
}

export function layOutRoot({ tree, base, deb, files, tell }: Options): void {
  const at = (path: string): string => join(tree, path)
  rmSync(tree, { recursive: true, force: true })
  mkdirSync(tree, { recursive: true })
  tell('unpacking Debian, its kernel and the firmware of the boards')
  run('tar', ['-xf', base.tar, '-C', tree, '--numeric-owner', '--xattrs', '--xattrs-include=*'])
  for (const name of readdirSync(base.packages).filter((file) => file.endsWith('.deb')))
    unpack(join(base.packages, name), tree)
  tell("installing the agent's package, in a chroot under qemu-user")
  cpSync(deb, at('agent.deb'))
  run('chroot', [tree, 'dpkg', '--install', '/agent.deb'], { env: { DEBIAN_FRONTEND: 'noninteractive' } })
  rmSync(at('agent.deb'))
  copyFiles(files, tree)
  run('chroot', [tree, 'systemctl', '--quiet', 'enable', ...ENABLED])
  run('chroot', [tree, 'systemctl', '--quiet', 'mask', ...MASKED])
  for (const folder of ['data', 'boot/firmware']) mkdirSync(at(folder), { recursive: true })
  forget(at)
}

/** Through tar: /lib is a link in Debian, and dpkg-deb alone would put a folder in its place. */
const unpack = (deb: string, tree: string): Buffer =>
  run('sh', ['-c', 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" --keep-directory-symlink', deb, tree])

/** Modes as git knows them, whatever the umask of the clone was. */
function copyFiles(from: string, tree: string): void {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    const source = join(entry.parentPath, entry.name)
    const target = join(tree, source.slice(from.length))
    if (entry.isDirectory()) mkdirSync(target, { recursive: true })
    else {
      cpSync(source, target)
      chmodSync(target, (statSync(source).mode & 0o100) === 0 ? 0o644 : 0o755)
    }
  }
}

const LINKS = {
  'etc/resolv.conf': '../run/systemd/resolve/stub-resolv.conf',
  'var/lib/dbus/machine-id': '/etc/machine-id',
} as const

/** What is this machine's, or should be each board's own. */
function forget(at: (path: string) => string): void {
  for (const path of [
    'etc/apt/sources.list',
    'etc/apt/sources.list.d',
    'var/cache/apt',
    'var/lib/apt/lists',
    'var/log',
  ])
    rmSync(at(path), { recursive: true, force: true })
  for (const path of [
    'etc/apt/sources.list.d',
    'var/cache/apt/archives/partial',
    'var/lib/apt/lists/partial',
    'var/log',
  ])
    mkdirSync(at(path), { recursive: true })
  writeFileSync(at('etc/apt/sources.list'), sourcesOf(PUBLIC_MIRRORS))
  // Empty: the first boot makes one and keeps it.
  writeFileSync(at('etc/machine-id'), '')
  rmSync(at('var/lib/systemd/random-seed'), { force: true })
  for (const [path, to] of Object.entries(LINKS)) {
    rmSync(at(path), { force: true })
    symlinkSync(to, at(path))
  }
}
