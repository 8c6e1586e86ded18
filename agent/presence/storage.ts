// The disk that carries the data folder, and the wear of the card or eMMC beneath it.
import { realpath, statfs } from 'node:fs/promises'
import { defined, type Tree } from './sysfs.ts'

export interface Disk {
  readonly totalMiB: number
  readonly freeMiB: number
  readonly readOnly: boolean
}

export interface Card {
  readonly name: string
  /** The upper end of what its counters say, 0..100. */
  readonly lifeUsedPercent?: number
}

interface Mount {
  readonly device: string
  readonly readOnly: boolean
}

const MIB = 1024 * 1024

/** In /proc/mounts a space is `\040`. */
const unescaped = (path: string): string =>
  path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

/** The mount that `path` lies on: the longest that leads there; of those at one place the last, which covers the others. */
export function mountOf(mounts: string, path: string): Mount | undefined {
  let best: (Mount & { readonly at: string }) | undefined
  for (const line of mounts.split('\n')) {
    const [device = '', where = '', , options = ''] = line.split(' ')
    const at = unescaped(where)
    const holds = path === at || path.startsWith(at.endsWith('/') ? at : `${at}/`)
    if (at !== '' && holds && at.length >= (best?.at.length ?? 0))
      best = { device, at, readOnly: options.split(',').includes('ro') }
  }
  return best
}

const readMount = async (tree: Tree, path: string): Promise<Mount | undefined> =>
  mountOf((await tree.text('proc/mounts')) ?? '', path)

export interface Storage {
  readonly disk?: Disk
  readonly card?: Card
}

/** Undefined parts: a folder that is not there, a disk without such counters. */
export async function readStorage(tree: Tree, folder: string): Promise<Storage> {
  const path = await realpath(folder).catch(() => undefined)
  if (path === undefined) return {}
  const [space, mount] = await Promise.all([statfs(path).catch(() => undefined), readMount(tree, path)])
  const card = await readCard(tree, mount?.device)
  return {
    ...(space && {
      disk: {
        totalMiB: Math.round((space.blocks * space.bsize) / MIB),
        freeMiB: Math.round((space.bavail * space.bsize) / MIB),
        readOnly: mount?.readOnly ?? false,
      },
    }),
    ...(card && { card }),
  }
}

/** `/dev/mmcblk0p2` is on mmcblk0. `/dev/root` hides the device: then it is the board's only card, if there is one. */
export async function readCard(tree: Tree, device = '/dev/root'): Promise<Card | undefined> {
  const cards = await tree.names('sys/block', /^mmcblk\d+$/)
  const named = /^\/dev\/(mmcblk\d+)/.exec(device)?.[1]
  const block = device === '/dev/root' && cards.length === 1 ? cards[0] : cards.find((card) => card === named)
  if (block === undefined) return undefined
  const at = `sys/block/${block}/device`
  const [name, type, life, reserve] = await Promise.all(
    ['name', 'type', 'life_time', 'pre_eol_info'].map((file) => tree.text(`${at}/${file}`)),
  )
  const lifeUsedPercent = lifeOf(life, reserve)
  return {
    name: defined([type, name]).join(' ') || block,
    ...(lifeUsedPercent !== undefined && { lifeUsedPercent }),
  }
}

/** JEDEC eMMC 5.0: two estimates in steps of 10 % (1 is 0 to 10 %, 11 is beyond its life, 0 is not said). */
const STEP_PERCENT = 10
/** And what is left of the reserve: 2 is 80 % used, 3 is 90 % used. */
const RESERVE_PERCENT: Readonly<Record<string, number>> = { '0x02': 80, '0x03': 90 }

function lifeOf(life: string | undefined, reserve: string | undefined): number | undefined {
  const steps = (life ?? '').split(/\s+/).map((step) => (/^0x[0-9a-f]{2}$/i.test(step) ? Number.parseInt(step, 16) : 0))
  const estimates = steps.filter((step) => step >= 1 && step <= 11).map((step) => Math.min(100, step * STEP_PERCENT))
  const worst = Math.max(0, ...estimates, RESERVE_PERCENT[reserve ?? ''] ?? 0)
  return worst === 0 ? undefined : worst
}
