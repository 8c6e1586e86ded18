// What checks are about, built once per run of `npm run test:firmware` by the first that wants it, so that none meets that of an older tree.
import { execFile } from 'node:child_process'
import { existsSync, globSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ARCHITECTURES, type Architecture } from '../../firmware-scripts/deb/elf.ts'
import { takeTurn } from './turns.ts'

const root = new URL('../..', import.meta.url).pathname
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

export const BUILD = join(root, 'firmware-scripts/build')

export const packageFor = (architecture: Architecture): string =>
  join(BUILD, `bramble-agent_${version}_${architecture}.deb`)

/** Files of the image without their endings: .img, .img.xz, .vmlinuz, .initrd. */
export const IMAGE = join(BUILD, `bramble-os_${version}_arm64`)

export function setup(): void {
  for (const architecture of ARCHITECTURES) rmSync(packageFor(architecture), { force: true })
}

/** What the program says is shown once it has ended. */
async function start(program: string, ...args: readonly string[]): Promise<void> {
  const { stderr } = await promisify(execFile)(program, args, { cwd: root })
  process.stderr.write(stderr)
}

/** The one for arm64 is compressed as it is for a release. */
const COMPRESSION = { arm64: [], amd64: ['--quick'] } as const satisfies Record<Architecture, readonly string[]>

/** Debian's part of the image takes longer: packages give way to it. */
export async function buildPackage(architecture: Architecture): Promise<void> {
  const done = await takeTurn(`package-${architecture}`)
  try {
    const build = ['firmware-scripts/deb/main.ts', '--arch', architecture, ...COMPRESSION[architecture]]
    if (!existsSync(packageFor(architecture))) await start('nice', process.execPath, ...build)
  } finally {
    await done()
  }
}

const changedAt = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Nothing is built where all that the image is made of is older than the last file of its build. */
export async function buildImage(): Promise<void> {
  const done = await takeTurn('image')
  try {
    // Debian's scripts keep one core busy for two minutes, the first time in a month.
    await Promise.all([buildPackage('arm64'), start(process.execPath, 'test/firmware/debian.ts')])
    const parts = globSync('firmware-scripts/image/**/*', { cwd: root }).map((file) => join(root, file))
    const newest = Math.max(...[packageFor('arm64'), ...parts].map(changedAt))
    if (changedAt(join(BUILD, 'os-list.json')) <= newest)
      await start(process.execPath, 'firmware-scripts/image/main.ts', '--quick')
  } finally {
    await done()
  }
}
