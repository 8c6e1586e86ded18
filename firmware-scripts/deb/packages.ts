// The npm packages that hold native code: from node_modules where they are installed, else from the registry, checked
// against the lockfile. `npm ci` installs those of one architecture only; the other's are fetched without running anything of them.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Architecture } from './elf.ts'

export class BuildError extends Error {
  override readonly name = 'BuildError'
}

/** In npm's words. */
const CPU = { arm64: 'arm64', amd64: 'x64' } as const satisfies Record<Architecture, string>

export const cpuOf = (architecture: Architecture): 'arm64' | 'x64' => CPU[architecture]

interface Options {
  /** Of the repository. */
  readonly root: string
  /** Where fetched packages are kept from one build to the next. */
  readonly cache: string
  readonly tell: (line: string) => void
}

/** The folder of a package of the version that the lockfile names. */
export function createPackages({ root, cache, tell }: Options): (name: string) => string {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, { version: string; integrity?: string }>>
  }
  return (name) => {
    const installed = join(root, 'node_modules', name)
    if (existsSync(join(installed, 'package.json'))) return installed
    const entry = lock.packages[`node_modules/${name}`]
    if (entry?.integrity === undefined) throw new BuildError(`package-lock.json does not know ${name}`)
    const folder = join(cache, `${name.replaceAll('/', '+')}@${entry.version}`)
    if (!existsSync(folder)) {
      tell(`fetching ${name} ${entry.version}`)
      fetchPackage(`${name}@${entry.version}`, entry.integrity, folder)
    }
    return folder
  }
}

function fetchPackage(spec: string, integrity: string, folder: string): void {
  const work = `${folder}.part`
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  const said = execFileSync('npm', ['pack', spec, '--json', '--ignore-scripts', '--pack-destination', work], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const file = join(work, fileIn(said))
  const found = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`
  if (found !== integrity) throw new BuildError(`${spec} came with ${found}, but package-lock.json says ${integrity}`)
  execFileSync('tar', ['-xzf', file, '-C', work, '--no-same-owner'])
  renameSync(join(work, 'package'), folder)
  rmSync(work, { recursive: true })
}

/** npm 11 answers with a list, later ones with an object by name. */
function fileIn(said: string): string {
  const [first] = Object.values(JSON.parse(said) as Record<string, { filename: string }>)
  if (first === undefined) throw new BuildError('npm pack said nothing')
  return first.filename.replace(/^@/, '').replaceAll('/', '-')
}
