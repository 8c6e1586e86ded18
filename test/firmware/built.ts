// Builds both packages once per run of `npm run test:firmware`, side by side, so that no test meets those of an older tree.
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ARCHITECTURES, type Architecture } from '../../firmware-scripts/deb/elf.ts'

const root = new URL('../..', import.meta.url).pathname
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

export const BUILD = join(root, 'firmware-scripts/build')

export const packageFor = (architecture: Architecture): string =>
  join(BUILD, `bramble-agent_${version}_${architecture}.deb`)

/** Files of the image without their endings: .img, .img.xz, .vmlinuz, .initrd. */
export const IMAGE = join(BUILD, `bramble-os_${version}_arm64`)

const changedAt = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Builds the image, unless what it is made of is older than the last file of the build. */
export function buildImage(): void {
  const parts = globSync('firmware-scripts/image/**/*', { cwd: root }).map((file) => join(root, file))
  const newest = Math.max(...[packageFor('arm64'), ...parts].map(changedAt))
  if (changedAt(join(BUILD, 'os-list.json')) > newest) return
  const { status } = spawnSync(process.execPath, ['firmware-scripts/image/main.ts'], { cwd: root, stdio: 'inherit' })
  if (status !== 0) throw new Error(`the image was not built: exit code ${status}`)
}

export async function setup(): Promise<void> {
  const build = (architecture: Architecture) =>
    promisify(execFile)(process.execPath, ['firmware-scripts/deb/main.ts', '--arch', architecture], { cwd: root })
  await Promise.all(ARCHITECTURES.map(build))
  for (const architecture of ARCHITECTURES)
    if (!existsSync(packageFor(architecture))) throw new Error(`there is no ${packageFor(architecture)}`)
}
