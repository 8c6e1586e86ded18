// Debian's root file system for tests that boot a board in a container. A minute the first time in a month; kept outside the
// repository, as the image's is, because it only depends on Debian's packages.
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { placeFor } from '../../firmware-scripts/image/base.ts'

const OPTIONS = ['--variant=minbase', '--arch=amd64', '--include=systemd,systemd-sysv,libstdc++6', 'bookworm']

export function rootFileSystem(): string {
  const file = `${placeFor('debian-amd64', [OPTIONS, new Date().toISOString().slice(0, 7)])}.tar`
  if (existsSync(file)) return file
  mkdirSync(dirname(file), { recursive: true })
  const sources = globSync('/etc/apt/sources.list.d/debian.sources')
  const part = file.replace(/\.tar$/, `.${process.pid}.tar`)
  execFileSync('mmdebstrap', [...OPTIONS, part, ...sources])
  renameSync(part, file)
  return file
}
