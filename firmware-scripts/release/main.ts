// `npm run firmware:release -- --key FILE --publisher ID`: a version of the agent that boards fetch from their console, signed here,
// where the key is. `bramble software publish` hands it to a console.
import { mkdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { PrivateFileError } from '../../agent/private-file.ts'
import { Id } from '../../broker/protocol/packages.ts'
import { ARCHITECTURES, type Architecture } from '../deb/elf.ts'
import { BuildError, createPackages } from '../deb/packages.ts'
import { layOutProgram } from '../deb/tree.ts'
import { readKey, type Signer, signFolder } from './signing.ts'

const HELP = `npm run firmware:release -- --key FILE --publisher ID [--arch arm64|amd64] [--out FOLDER]

Writes the folder bramble-agent_VERSION_ARCH: the bundled agent, its Node, its native modules, and release.jws, signed with the key.
  --key        Ed25519 private key in PEM; npx bramble models keygen FILE makes one
  --publisher  under which name boards know the key: firmware:deb --software-key ID:KEY, or BRAMBLE_TRUST_SOFTWARE
  --arch       arm64 (Raspberry Pi, Jetson; the default) or amd64
  --out        where the folder goes (firmware-scripts/build)`

const root = fileURLToPath(new URL('../..', import.meta.url))

async function build(architecture: Architecture, signer: Signer, out: string): Promise<void> {
  const tell = (line: string): void => void process.stderr.write(`${line}\n`)
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const folderOf = createPackages({ root, cache: join(root, 'firmware-scripts/build/npm'), tell })
  const folder = join(out, `bramble-agent_${version}_${architecture}`)
  mkdirSync(out, { recursive: true })
  await layOutProgram(folder, { root, architecture, folderOf, version, tell })
  const digest = signFolder({ ...signer, folder, architecture, version, now: Date.now() })
  tell(`done: release ${digest} of ${signer.publisher}`)
  console.log(folder)
}

const isArchitecture = (text: string): text is Architecture => ARCHITECTURES.some((one) => one === text)

function signerOf(file: string | undefined, publisher: string | undefined): Signer {
  if (file === undefined) throw new BuildError('--key: is missing; the file of the private key to sign with')
  if (!Id.safeParse(publisher).success || publisher === undefined)
    throw new BuildError('--publisher: must match [A-Za-z0-9_-]{1,64}: the name that boards know the key by')
  return { publisher, key: readKey(file) }
}

try {
  const { values } = parseArgs({
    options: {
      arch: { type: 'string', default: 'arm64' },
      key: { type: 'string' },
      publisher: { type: 'string' },
      out: { type: 'string', default: join(root, 'firmware-scripts/build') },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) console.log(HELP)
  else if (!isArchitecture(values.arch))
    throw new BuildError(`--arch: must be ${ARCHITECTURES.join(' or ')}, not ${values.arch}`)
  else await build(values.arch, signerOf(values.key, values.publisher), resolve(values.out))
} catch (error) {
  const isUsage = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
  if (!(error instanceof BuildError || error instanceof PrivateFileError) && !isUsage) throw error
  console.error(error.message)
  process.exitCode = 2
}
