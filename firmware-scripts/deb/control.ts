// Debian's part of the package: control, conffiles, checksums, maintainer scripts; then dpkg-deb makes one file of the tree.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Architecture } from './elf.ts'
import { BuildError } from './packages.ts'

const SCRIPTS = ['postinst', 'prerm', 'postrm'] as const

interface Facts {
  readonly architecture: Architecture
  readonly version: string
  readonly installedKiB: number
}

/** libc6: better-sqlite3's prebuilt file asks for 2.34. systemd: the agent speaks through systemd-notify. */
const controlOf = ({ architecture, version, installedKiB }: Facts): string => `Package: bramble-agent
Version: ${version}
Architecture: ${architecture}
Maintainer: The Bramble authors <bramble@localhost.invalid>
Installed-Size: ${installedKiB}
Depends: libc6 (>= 2.34), libstdc++6 (>= 11), libgcc-s1, systemd (>= 245), passwd, util-linux
Section: net
Priority: optional
Description: edge inference agent that earns
 Answers frames over MQTT with quantized ONNX models, keeps results and signed
 receipts through power cuts, and earns for its owner. Brings its own Node and
 its default models.
`

/** Files that an administrator may change; dpkg asks before it replaces them. */
const filesUnder = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()

function writeControl(tree: string, source: string, architecture: Architecture, version: string): void {
  const files = filesUnder(tree)
  const bytes = files.reduce((sum, file) => sum + statSync(join(tree, file)).size, 0)
  const folder = join(tree, 'DEBIAN')
  mkdirSync(folder)
  writeFileSync(join(folder, 'control'), controlOf({ architecture, version, installedKiB: Math.ceil(bytes / 1024) }))
  const settings = files.filter((file) => file.startsWith('etc/'))
  writeFileSync(join(folder, 'conffiles'), settings.map((file) => `/${file}\n`).join(''))
  const sums = files.filter((file) => !settings.includes(file)).map((file) => `${md5Of(join(tree, file))}  ${file}\n`)
  writeFileSync(join(folder, 'md5sums'), sums.join(''))
  for (const script of SCRIPTS) {
    cpSync(join(source, script), join(folder, script))
    chmodSync(join(folder, script), 0o755)
  }
}

const md5Of = (file: string): string => createHash('md5').update(readFileSync(file)).digest('hex')

/** The same sources give the same bytes, whoever builds and whenever: every file is as old as the commit. */
function makeSameForAll(tree: string, seconds: number): void {
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isDirectory()) chmodSync(path, 0o755)
    else if (entry.isFile()) chmodSync(path, (statSync(path).mode & 0o111) === 0 ? 0o644 : 0o755)
    lutimesSync(path, seconds, seconds)
  }
  chmodSync(tree, 0o755)
}

interface Options {
  readonly tree: string
  /** Folder of the maintainer scripts. */
  readonly scripts: string
  readonly architecture: Architecture
  readonly version: string
  /** Seconds since 1970 that files are dated. */
  readonly dated: number
  /** Compressed in a third of the time, and larger. */
  readonly isQuick: boolean
  readonly file: string
}

/** Writes the .deb. Throws BuildError where dpkg-deb is missing. */
export function pack({ tree, scripts, architecture, version, dated, isQuick, file }: Options): void {
  writeControl(tree, scripts, architecture, version)
  makeSameForAll(tree, dated)
  // A half of it under the package's own name would be taken for the package.
  const part = `${file}.part`
  try {
    const level = isQuick ? '-z1' : '-z6'
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', level, '--build', tree, part], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, SOURCE_DATE_EPOCH: String(dated) },
    })
  } catch (error) {
    throw new BuildError('dpkg-deb did not make the package: is dpkg installed? Its own words stand above', {
      cause: error,
    })
  }
  renameSync(part, file)
}
