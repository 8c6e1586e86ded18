// What of the image is Debian's, kept from one build to the next: the root file system as a tar, and the packages of kernel and
// firmware, which are unpacked only. Minutes the first time in a month, because Debian's scripts run under qemu-user.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ensureArm64 } from './binfmt.ts'
import { run } from './commands.ts'

const RELEASE = 'bookworm'
/** Not ca-certificates: Node has its own, and its script runs for minutes under qemu-user. */
const PACKAGES = [
  ...['systemd', 'systemd-sysv', 'systemd-timesyncd', 'systemd-resolved', 'dbus', 'udev', 'kmod'],
  ...['iproute2', 'libstdc++6', 'e2fsprogs', 'dosfstools', 'fdisk'],
  ...['wpasupplicant', 'iw', 'rfkill', 'wireless-regdb'],
]
/** Unpacked, never set up: their scripts would make an initramfs of their own, for many minutes. */
const UNPACKED = ['linux-image-arm64', 'raspi-firmware', 'firmware-brcm80211', 'busybox-static']
const LEFT_OUT = ['/usr/share/man/*', '/usr/share/info/*', '/usr/share/locale/*', '/usr/share/doc/*']

/** The metapackage of the kernel holds nothing but the name of the newest one. */
const FETCH = `cd "$FOLDER"; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; for name in ${UNPACKED.join(' ')}; do
  case $name in linux-image-*) name=$(apt-cache depends "$name" | sed -n 's/.*Depends: \\(linux-image-[0-9].*\\)/\\1/p') ;; esac
  apt-get -q download "$name" || exit 1; done`

export interface Base {
  readonly tar: string
  /** Holds the .deb files that are unpacked. */
  readonly packages: string
}

/** Outside the repository: a fresh clone, as a CI makes it, finds what another one left. */
const CACHE = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'bramble')

/** Where what is made of these ingredients is kept: other ones are kept elsewhere. */
export function placeFor(name: string, ingredients: readonly unknown[]): string {
  const key = createHash('sha256').update(JSON.stringify(ingredients)).digest('hex')
  return join(CACHE, `${name}-${key.slice(0, 12)}`)
}

export function debianBase(month: string, tell: (line: string) => void): Base {
  const folder = placeFor('debian-arm64', [RELEASE, PACKAGES, UNPACKED, LEFT_OUT, FETCH, month])
  const base = { tar: join(folder, 'root.tar'), packages: folder }
  if (existsSync(folder)) return base
  ensureArm64(tell)
  tell(`making Debian's root file system, which takes minutes, once a month`)
  mkdirSync(CACHE, { recursive: true })
  const work = mkdtempSync(`${folder}.`)
  const sources = join(work, 'sources.list')
  writeFileSync(sources, sourcesOf(mirrors()))
  try {
    run('mmdebstrap', [...OPTIONS, RELEASE, join(work, 'root.tar'), sources], { env: { FOLDER: work }, isLoud: true })
    rmSync(sources)
    // Another build may have been faster.
    if (!existsSync(folder)) renameSync(work, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return base
}

const OPTIONS = [
  '--mode=root',
  '--architectures=arm64',
  '--variant=minbase',
  `--include=${PACKAGES.join(',')}`,
  ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
  '--dpkgopt=path-include=/usr/share/doc/*/copyright',
  `--customize-hook=${FETCH}`,
]

interface Mirrors {
  readonly main: string
  readonly security: string
}
export const PUBLIC_MIRRORS: Mirrors = {
  main: 'http://deb.debian.org/debian',
  security: 'http://deb.debian.org/debian-security',
}

/** This machine's own, where it has Debian's release: it may reach no other. */
function mirrors(): Mirrors {
  const targets = run('apt-get', ['indextargets', '--format', '$(RELEASE) $(REPO_URI)', 'Created-By: Packages'])
  const lines = targets.toString().split('\n')
  const of = (release: string): string | undefined =>
    lines.find((line) => line.startsWith(`${release} `))?.slice(release.length + 1)
  return { main: of(RELEASE) ?? PUBLIC_MIRRORS.main, security: of(`${RELEASE}-security`) ?? PUBLIC_MIRRORS.security }
}

/** Firmware of the boards is not free: Debian keeps it in a part of its own. */
export const sourcesOf = ({ main, security }: Mirrors): string =>
  [`${main} ${RELEASE}`, `${main} ${RELEASE}-updates`, `${security} ${RELEASE}-security`]
    .map((place) => `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${place} main non-free-firmware\n`)
    .join('')
