// Lays out the package's file tree: programs, Node, native modules, models, and the files of firmware-scripts/deb/files.
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { bundle } from './bundle.ts'
import { type Architecture, nativeFiles } from './elf.ts'
import { BuildError, cpuOf } from './packages.ts'
import { copyParts } from './parts.ts'

/** Where the agent lives on a board. */
export const HOME = 'usr/lib/bramble-agent'

/** From firmware-scripts/deb/files to their places. */
const PLACES: Readonly<Record<string, string>> = {
  'bramble-agent': 'usr/bin/bramble-agent',
  launch: `${HOME}/launch`,
  'bramble-agent.service': 'lib/systemd/system/bramble-agent.service',
  'bramble-agent.path': 'lib/systemd/system/bramble-agent.path',
  'bramble-agent-boot.service': 'lib/systemd/system/bramble-agent-boot.service',
  'agent.env': 'etc/bramble-agent/agent.env',
  'journald.conf': 'usr/lib/systemd/journald.conf.d/50-bramble.conf',
  'bramble.toml': 'usr/share/doc/bramble-agent/bramble.toml',
}
/** As agent/software.ts looks for them. */
const SOFTWARE_KEYS = 'software-keys'
const PROGRAM_FILES = new Set(['bramble-agent', 'launch'])

interface Program {
  readonly root: string
  readonly architecture: Architecture
  readonly folderOf: (name: string) => string
  readonly version: string
  readonly tell: (line: string) => void
}

interface Options extends Program {
  /** Lines `ID:KEY`: whose versions of the agent the board may run. */
  readonly softwareKeys: readonly string[]
}

/** What an update replaces: programs, Node, native modules. Fills `home`, which is emptied before. */
export async function layOutProgram(home: string, { root, architecture, folderOf, version, tell }: Program) {
  rmSync(home, { recursive: true, force: true })
  mkdirSync(home, { recursive: true })
  tell('bundling the agent')
  await bundle(root, join(home, 'agent'))
  writeFileSync(join(home, 'package.json'), `${JSON.stringify({ name: 'bramble-agent', version, type: 'module' })}\n`)
  tell('copying native modules')
  copyParts(architecture, folderOf, join(home, 'node_modules'))
  tell('stripping Node')
  placeNode(architecture, folderOf, home)
  refuseForeign(home, architecture)
}

/** Fills `tree`, which is emptied before. */
export async function layOut(tree: string, options: Options): Promise<void> {
  const { root, softwareKeys } = options
  const home = join(tree, HOME)
  rmSync(tree, { recursive: true, force: true })
  await layOutProgram(home, options)
  copyModels(join(root, 'models'), join(home, 'models'))
  if (softwareKeys.length > 0) writeFileSync(join(home, SOFTWARE_KEYS), softwareKeys.map((key) => `${key}\n`).join(''))
  for (const [name, place] of Object.entries(PLACES)) {
    mkdirSync(join(tree, place, '..'), { recursive: true })
    cpSync(join(root, 'firmware-scripts/deb/files', name), join(tree, place))
    chmodSync(join(tree, place), PROGRAM_FILES.has(name) ? 0o755 : 0o644)
  }
  if (options.architecture === 'arm64')
    cpSync(join(root, 'firmware-scripts/jetson'), join(tree, 'usr/share/doc/bramble-agent/jetson'), { recursive: true })
  const licence = readFileSync(join(root, 'LICENSE'), 'utf8')
  writeFileSync(join(tree, 'usr/share/doc/bramble-agent/copyright'), `${licence}\n${OTHERS}`)
}

const OTHERS = `Node.js, the native modules and each model carry their own licences: see
/${HOME}/LICENSE.node, /${HOME}/node_modules/*/LICENSE and /${HOME}/models/*/LICENSE.
`

function refuseForeign(home: string, architecture: Architecture): void {
  const natives = nativeFiles(home)
  const foreign = natives.filter(({ machine }) => machine !== architecture)
  if (foreign.length > 0)
    throw new BuildError(
      `not of ${architecture}: ${foreign.map(({ file, machine }) => `${file} (${machine})`).join(', ')}`,
    )
  if (natives.length === 0) throw new BuildError('there is no native file in the package')
}

/** A package is a folder with a model.json. */
function copyModels(from: string, to: string): void {
  for (const { name } of readdirSync(from, { withFileTypes: true }).filter((entry) => entry.isDirectory()))
    if (existsSync(join(from, name, 'model.json'))) cpSync(join(from, name), join(to, name), { recursive: true })
}

const STRIP = { arm64: 'aarch64-linux-gnu-strip', amd64: 'x86_64-linux-gnu-strip' } as const

/** 117 MB become 99: what goes is symbols for debuggers. */
function placeNode(architecture: Architecture, folderOf: (name: string) => string, home: string): void {
  const from = folderOf(`node-linux-${cpuOf(architecture)}`)
  const node = join(home, 'node')
  cpSync(join(from, 'LICENSE'), join(home, 'LICENSE.node'))
  cpSync(join(from, 'bin/node'), node)
  chmodSync(node, 0o755)
  try {
    execFileSync(STRIP[architecture], [node], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    throw new BuildError(
      `${basename(STRIP[architecture])} is missing: install binutils-${architecture === 'arm64' ? 'aarch64' : 'x86-64'}-linux-gnu`,
      { cause: error },
    )
  }
}
