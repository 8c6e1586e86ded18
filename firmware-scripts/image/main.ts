// `npm run firmware:image -- [--deb FILE] [--out FOLDER] [--toml FILE] [--url BASE] [--quick]`: a card's image, from Debian and the agent's package.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { BuildError } from '../deb/packages.ts'
import { debianBase } from './base.ts'
import { emptyFolder, keepKernel, makeCard, release } from './card.ts'
import { PROGRAMS, refuseMissing, run } from './commands.ts'
import { takeOutKernel } from './kernel.ts'
import { listOf } from './list.ts'
import { layOutRoot } from './rootfs.ts'

const HELP = `npm run firmware:image -- [--deb FILE] [--out FOLDER] [--toml FILE] [--url BASE] [--quick]

Builds bramble-os_VERSION_arm64.img, .img.xz, os-list.json for Raspberry Pi Imager, and kernel and initramfs for QEMU.
  --deb   the agent's package for arm64 (firmware-scripts/build/bramble-agent_VERSION_arm64.deb)
  --out   where the files go (firmware-scripts/build)
  --toml  a bramble.toml for the boot partition; its token is then in the image
  --url   address under which the files will be offered (the folder itself)
  --quick compress less: for an image that stays here
Must be run as root. Debian's part is made once a month and kept in ~/.cache/bramble; the build needs 2 GB.
Needs the Debian packages ${[...new Set(Object.values(PROGRAMS))].join(', ')}.`

const root = fileURLToPath(new URL('../..', import.meta.url))
const here = fileURLToPath(new URL('.', import.meta.url))
const built = join(root, 'firmware-scripts/build')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

interface Order {
  readonly deb: string
  readonly out: string
  readonly toml?: string
  readonly url?: string
  readonly quick: boolean
}

function refuseWrong({ deb, toml }: Order): void {
  if (!existsSync(deb)) throw new BuildError(`there is no ${deb}: make it with npm run firmware:deb -- --arch arm64`)
  const kind = run('dpkg-deb', ['--field', deb, 'Architecture']).toString().trim()
  if (kind !== 'arm64') throw new BuildError(`${deb} is for ${kind}, and the image is for arm64`)
  if (toml !== undefined && !existsSync(toml)) throw new BuildError(`there is no ${toml}`)
}

async function build(order: Order): Promise<void> {
  const startedAt = performance.now()
  const tell = (line: string): void =>
    void process.stderr.write(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${line}\n`)
  const { deb, out, toml, url, quick } = order
  refuseMissing()
  refuseWrong(order)
  mkdirSync(out, { recursive: true })
  const date = new Date().toISOString().slice(0, 10)
  const base = debianBase(date.slice(0, 7), tell)
  const stem = join(out, `bramble-os_${version}_arm64`)
  // There, so that the card only needs another name.
  const work = emptyFolder(join(out, 'image-work'))
  try {
    const [tree, boot] = [join(work, 'root'), join(work, 'boot')]
    layOutRoot({ tree, base, deb, files: join(here, 'root'), tell })
    takeOutKernel({ tree, boot, init: join(here, 'initramfs.sh') })
    for (const name of ['config.txt', 'cmdline.txt']) copyFileSync(join(here, 'boot', name), join(boot, name))
    if (toml !== undefined) copyFileSync(toml, join(boot, 'bramble.toml'))
    keepKernel(boot, stem)
    tell('making the three partitions')
    makeCard({ work, root: tree, boot, image: join(work, 'card.img') })
    tell(quick ? 'compressing' : 'compressing, which takes a minute or two')
    release({ card: join(work, 'card.img'), image: `${stem}.img`, holdsToken: toml !== undefined, isQuick: quick })
  } finally {
    rmSync(work, { recursive: true })
  }
  copyFileSync(join(root, 'console/ui/public/favicon.svg'), join(out, 'bramble.svg'))
  const list = await listOf({
    version,
    image: `${stem}.img`,
    compressed: `${stem}.img.xz`,
    base: (url ?? pathToFileURL(out).href).replace(/\/$/, ''),
    date,
  })
  writeFileSync(join(out, 'os-list.json'), `${JSON.stringify(list, null, 2)}\n`)
  const megabytes = (file: string): string => (statSync(file).size / 1e6).toFixed(0)
  tell(`done: ${megabytes(`${stem}.img`)} MB, compressed ${megabytes(`${stem}.img.xz`)} MB`)
  console.log(`${stem}.img.xz`)
}

try {
  const { values } = parseArgs({
    options: {
      deb: { type: 'string', default: join(built, `bramble-agent_${version}_arm64.deb`) },
      out: { type: 'string', default: built },
      toml: { type: 'string' },
      url: { type: 'string' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) console.log(HELP)
  else await build({ ...values, out: resolve(values.out) })
} catch (error) {
  const isUsage = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
  if (!(error instanceof BuildError) && !isUsage) throw error
  console.error(error.message)
  process.exitCode = 2
}
