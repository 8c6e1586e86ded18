// `npm run firmware:deb -- [--arch arm64|amd64] [--out FOLDER] [--software-key ID:KEY]`: the agent's Debian package, from this repository and its lockfile.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readPins, TrustError } from '../../agent/packages/trust.ts'
import { pack } from './control.ts'
import { ARCHITECTURES, type Architecture } from './elf.ts'
import { BuildError, createPackages } from './packages.ts'
import { layOut } from './tree.ts'

const HELP = `npm run firmware:deb -- [--arch arm64|amd64] [--out FOLDER] [--quick] [--software-key ID:KEY[,ID:KEY]]

Builds bramble-agent_VERSION_ARCH.deb: the bundled agent, its Node, its native modules, the default models.
  --arch   arm64 (Raspberry Pi, Jetson; the default) or amd64
  --out    where the package goes (firmware-scripts/build)
  --quick  compress less: for a package that stays here
  --software-key   whose updates of the agent a board with this package takes from its console (nobody's)
Needs dpkg-deb, and binutils of the architecture; npm packages of another architecture are fetched once.`

/** What a slow connection and a small card bear. */
const MOST_MB = 75
const root = fileURLToPath(new URL('../..', import.meta.url))

/** Every package of the same commit is dated alike; outside a clone, the day of the release's file. */
function dateOfSources(): number {
  try {
    return Number(execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }))
  } catch {
    return Math.floor(statSync(join(root, 'package.json')).mtimeMs / 1000)
  }
}

interface Order {
  readonly architecture: Architecture
  readonly out: string
  readonly softwareKeys: readonly string[]
  readonly isQuick: boolean
}

async function build({ architecture, out, softwareKeys, isQuick }: Order): Promise<void> {
  const startedAt = performance.now()
  const tell = (line: string): void =>
    void process.stderr.write(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${line}\n`)
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const folderOf = createPackages({ root, cache: join(root, 'firmware-scripts/build/npm'), tell })
  mkdirSync(out, { recursive: true })
  const tree = join(root, 'firmware-scripts/build', `tree-${architecture}`)
  await layOut(tree, { root, architecture, folderOf, version, softwareKeys, tell })
  const file = join(out, `bramble-agent_${version}_${architecture}.deb`)
  tell(isQuick ? 'compressing' : 'compressing, which takes a minute or two')
  const scripts = join(root, 'firmware-scripts/deb/files')
  pack({ tree, scripts, architecture, version, dated: dateOfSources(), isQuick, file })
  const megabytes = statSync(file).size / 1e6
  if (megabytes > MOST_MB) throw new BuildError(`${file} has ${megabytes.toFixed(1)} MB, more than ${MOST_MB}`)
  tell(`done: ${megabytes.toFixed(1)} MB`)
  console.log(file)
}

/** A wrong key would leave the boards without updates, and nobody would see it before the first one. */
function readKeys(texts: readonly string[]): readonly string[] {
  const keys = texts.flatMap((text) => text.split(',')).map((key) => key.trim())
  readPins({ flag: '--software-key', named: keys })
  return keys
}

const isArchitecture = (text: string): text is Architecture => ARCHITECTURES.some((one) => one === text)

try {
  const { values } = parseArgs({
    options: {
      arch: { type: 'string', default: 'arm64' },
      out: { type: 'string', default: join(root, 'firmware-scripts/build') },
      'software-key': { type: 'string', multiple: true, default: [] },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) console.log(HELP)
  else if (!isArchitecture(values.arch))
    throw new BuildError(`--arch: must be ${ARCHITECTURES.join(' or ')}, not ${values.arch}`)
  else
    await build({
      architecture: values.arch,
      out: resolve(values.out),
      softwareKeys: readKeys(values['software-key']),
      isQuick: values.quick,
    })
} catch (error) {
  const isUsage = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
  if (!(error instanceof BuildError || error instanceof TrustError) && !isUsage) throw error
  console.error(error.message)
  process.exitCode = 2
}
