// Debian's root file system for tests that boot a board in a container. A minute the first time; kept, because it only depends on
// Debian's packages.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, globSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { BUILD } from './built.ts'

export function rootFileSystem(): string {
  const file = join(BUILD, 'rootfs-amd64.tar')
  if (existsSync(file)) return file
  mkdirSync(BUILD, { recursive: true })
  const include = '--include=systemd,systemd-sysv,libstdc++6'
  const sources = globSync('/etc/apt/sources.list.d/debian.sources')
  execFileSync('mmdebstrap', ['--variant=minbase', '--arch=amd64', include, 'bookworm', `${file}.part.tar`, ...sources])
  cpSync(`${file}.part.tar`, file)
  rmSync(`${file}.part.tar`)
  return file
}
