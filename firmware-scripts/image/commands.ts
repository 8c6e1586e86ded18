// Programs of Debian that the image is made with: looked for before anything is begun, run with their own words shown when they fail.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { BuildError } from '../deb/packages.ts'

/** The package that brings each. */
export const PROGRAMS: Readonly<Record<string, string>> = {
  mmdebstrap: 'mmdebstrap',
  'arch-test': 'arch-test',
  'qemu-aarch64-static': 'qemu-user-static',
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
  mke2fs: 'e2fsprogs',
  'mkfs.vfat': 'dosfstools',
  mcopy: 'mtools',
  sfdisk: 'fdisk',
  depmod: 'kmod',
  cpio: 'cpio',
  xz: 'xz-utils',
}
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** mke2fs and its kin are root's: they lie where a user's PATH does not look. */
const FOLDERS = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin']
const isThere = (program: string): boolean => FOLDERS.some((folder) => existsSync(join(folder, program)))

/** Throws BuildError that names every missing package at once. */
export function refuseMissing(): void {
  const missing = Object.entries(PROGRAMS).flatMap(([program, name]) => (isThere(program) ? [] : [name]))
  if (!existsSync(KEYRING)) missing.push('debian-archive-keyring')
  if (missing.length > 0)
    throw new BuildError(`Debian packages are missing: apt-get install ${[...new Set(missing)].join(' ')}`)
  if (process.getuid?.() !== 0)
    throw new BuildError("run this as root: Debian's packages are set up in a chroot, and their files belong to root")
}

interface Options {
  readonly input?: string | Buffer
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** What it says is shown while it runs: it takes minutes. */
  readonly isLoud?: boolean
}

/** What the program wrote to stdout. Throws BuildError with what it wrote to stderr. */
export function run(
  program: string,
  args: readonly string[],
  { input, cwd, env, isLoud = false }: Options = {},
): Buffer {
  try {
    return execFileSync(program, args, {
      stdio: ['pipe', 'pipe', isLoud ? 'inherit' : 'pipe'],
      input: input ?? '',
      maxBuffer: 64 * 2 ** 20,
      ...(cwd !== undefined && { cwd }),
      env: { ...process.env, ...env, PATH: FOLDERS.join(':') },
    })
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error && error.stderr !== null ? String(error.stderr).trim() : ''
    const last = said.split('\n').slice(-15).join('\n')
    throw new BuildError(`${[program, ...args.slice(0, 2)].join(' ')} … failed${last === '' ? '' : `:\n${last}`}`, {
      cause: error,
    })
  }
}
