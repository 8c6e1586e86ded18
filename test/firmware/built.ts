// Builds both packages once per run of `npm run test:firmware`, side by side, so that no test meets those of an older tree.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ARCHITECTURES, type Architecture } from '../../firmware-scripts/deb/elf.ts'

const root = new URL('../..', import.meta.url).pathname
export const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

export const BUILD = join(root, 'firmware-scripts/build')

export const packageFor = (architecture: Architecture): string =>
  join(BUILD, `bramble-agent_${version}_${architecture}.deb`)

export async function setup(): Promise<void> {
  const build = (architecture: Architecture) =>
    promisify(execFile)(process.execPath, ['firmware-scripts/deb/main.ts', '--arch', architecture], { cwd: root })
  await Promise.all(ARCHITECTURES.map(build))
  for (const architecture of ARCHITECTURES)
    if (!existsSync(packageFor(architecture))) throw new Error(`there is no ${packageFor(architecture)}`)
}
