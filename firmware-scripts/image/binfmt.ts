// Debian's package scripts are programs of the board: the kernel here must know that qemu-user runs them.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { BuildError } from '../deb/packages.ts'
import { run } from './commands.ts'

const TABLE = '/proc/sys/fs/binfmt_misc'
/** Debian's: with flag F the interpreter need not lie in the chroot. */
const ENTRY = '/usr/lib/binfmt.d/qemu-aarch64.conf'

/** Throws BuildError where this kernel cannot do it. */
export function ensureArm64(tell: (line: string) => void): void {
  if (!existsSync(`${TABLE}/register`)) {
    tell('mounting binfmt_misc')
    run('mount', ['-t', 'binfmt_misc', 'binfmt_misc', TABLE])
  }
  if (readdirSync(TABLE).some((name) => name.includes('aarch64'))) return
  if (!existsSync(ENTRY)) throw new BuildError(`there is no ${ENTRY}: apt-get install qemu-user-static`)
  tell('registering qemu-user for arm64 programs')
  writeFileSync(`${TABLE}/register`, readFileSync(ENTRY, 'utf8').trim())
}
