// What the board says about itself at every heartbeat, and what it is. A sensor that is not there is absent, never 0.
import { arch, availableParallelism, freemem, totalmem } from 'node:os'
import { openTree, type Tree } from './sysfs.ts'
import { processorOf, readZones } from './zones.ts'

export interface Vitals {
  readonly tempC?: number
  readonly totalMiB: number
  /** Available to new work, as the kernel estimates it. */
  readonly freeMiB: number
  readonly swapUsedMiB?: number
}

export interface Board {
  readonly model: string
  readonly arch: string
  readonly cpus: number
  readonly memMiB: number
}

const MIB = 1024 * 1024

const mebibytes = (meminfo: string | undefined, field: string): number | undefined => {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(meminfo ?? '')?.[1]
  return kibibytes === undefined ? undefined : Math.round(Number(kibibytes) / 1024)
}

/** Absent on a board without swap. */
function swapUsed(meminfo: string | undefined): number | undefined {
  const total = mebibytes(meminfo, 'SwapTotal')
  const free = mebibytes(meminfo, 'SwapFree')
  return total === undefined || total === 0 || free === undefined ? undefined : total - free
}

export async function readVitals(tree: Tree = openTree()): Promise<Vitals> {
  const [zones, meminfo] = await Promise.all([readZones(tree), tree.text('proc/meminfo')])
  const tempC = processorOf(zones)?.c
  const swapUsedMiB = swapUsed(meminfo)
  return {
    ...(tempC !== undefined && { tempC }),
    totalMiB: mebibytes(meminfo, 'MemTotal') ?? Math.round(totalmem() / MIB),
    freeMiB: mebibytes(meminfo, 'MemAvailable') ?? Math.round(freemem() / MIB),
    ...(swapUsedMiB !== undefined && { swapUsedMiB }),
  }
}

/** What makers leave in the DMI fields of boards they did not name. */
const UNNAMED =
  /^(to be filled by o\.?e\.?m\.?|default string|system (product name|manufacturer|version)|not specified|none|o\.?e\.?m\.?)$/i

async function readDmi(tree: Tree): Promise<string | undefined> {
  const read = async (field: string): Promise<string | undefined> => {
    const text = await tree.text(`sys/class/dmi/id/${field}`)
    return text === undefined || UNNAMED.test(text) ? undefined : text
  }
  const [vendor, product, boardVendor, board] = await Promise.all(
    ['sys_vendor', 'product_name', 'board_vendor', 'board_name'].map(read),
  )
  const [maker, name] = product === undefined ? [boardVendor ?? vendor, board] : [vendor, product]
  if (name === undefined) return undefined
  return maker === undefined || name.startsWith(maker) ? name : `${maker} ${name}`
}

/** Undefined on ARM, whose kernel gives numbers only. */
export const processorName = async (tree: Tree): Promise<string | undefined> =>
  /^model name\s*:\s*(.+)$/m.exec((await tree.text('proc/cpuinfo')) ?? '')?.[1]?.trim()

/** The board's name as its firmware gives it (device tree on ARM, DMI on a PC), else its processor's. */
export async function readBoard(tree: Tree = openTree()): Promise<Board> {
  const [name, dmi, processor, { totalMiB }] = await Promise.all([
    tree.text('proc/device-tree/model'),
    readDmi(tree),
    processorName(tree),
    readVitals(tree),
  ])
  const model = name ?? dmi ?? processor ?? 'unknown board'
  return { model, arch: arch(), cpus: availableParallelism(), memMiB: totalMiB }
}
