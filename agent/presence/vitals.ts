// What the board says about itself, read from /proc and /sys below `root` (a fixture tree in tests). A sensor that is not
// there is absent, never 0.
import { readdir, readFile } from 'node:fs/promises'
import { arch, availableParallelism, freemem, totalmem } from 'node:os'
import { join } from 'node:path'

export interface Vitals {
  readonly tempC?: number
  readonly totalMiB: number
  /** Available to new work, as the kernel estimates it. */
  readonly freeMiB: number
}

export interface Board {
  readonly model: string
  readonly arch: string
  readonly cpus: number
  readonly memMiB: number
}

/** Zone types that measure the processor, best first: Raspberry Pi and most ARM boards, Jetson, x86. The index says nothing. */
const CPU_ZONES = [
  'cpu-thermal',
  'cpu_thermal',
  'CPU-therm',
  'tj-thermal',
  'soc-thermal',
  'soc_thermal',
  'x86_pkg_temp',
]
/** Jetson zones that are powered off read -256 °C, and broken ones far above what silicon survives. */
const PLAUSIBLE_C = { from: -40, to: 150 } as const

const readText = (file: string): Promise<string | undefined> =>
  readFile(file, 'utf8').then(
    (text) => text.replaceAll('\0', '').trim(),
    () => undefined,
  )

async function readZone(folder: string): Promise<{ type: string; tempC: number } | undefined> {
  const [type, milli] = await Promise.all([readText(join(folder, 'type')), readText(join(folder, 'temp'))])
  if (type === undefined || !milli || !/^-?\d+$/.test(milli)) return undefined
  const tempC = Number(milli) / 1000
  return tempC > PLAUSIBLE_C.from && tempC < PLAUSIBLE_C.to ? { type, tempC } : undefined
}

async function readTemperature(root: string): Promise<number | undefined> {
  const folder = join(root, 'sys/class/thermal')
  const names = await readdir(folder).catch(() => [])
  const zones = await Promise.all(
    names.filter((n) => n.startsWith('thermal_zone')).map((n) => readZone(join(folder, n))),
  )
  for (const wanted of CPU_ZONES) {
    const zone = zones.find((candidate) => candidate?.type === wanted)
    if (zone) return Math.round(zone.tempC * 10) / 10
  }
  return undefined
}

const MIB = 1024 * 1024

const mebibytes = (meminfo: string | undefined, field: string, otherwise: number): number => {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(meminfo ?? '')?.[1]
  return Math.round(kibibytes === undefined ? otherwise / MIB : Number(kibibytes) / 1024)
}

export async function readVitals(root = '/'): Promise<Vitals> {
  const [tempC, meminfo] = await Promise.all([readTemperature(root), readText(join(root, 'proc/meminfo'))])
  return {
    ...(tempC !== undefined && { tempC }),
    totalMiB: mebibytes(meminfo, 'MemTotal', totalmem()),
    freeMiB: mebibytes(meminfo, 'MemAvailable', freemem()),
  }
}

/** The board's name as its firmware gives it (device tree on ARM, DMI on a PC). */
export async function readBoard(root = '/'): Promise<Board> {
  const [tree, dmi, { totalMiB }] = await Promise.all([
    readText(join(root, 'proc/device-tree/model')),
    readText(join(root, 'sys/class/dmi/id/product_name')),
    readVitals(root),
  ])
  return { model: tree || dmi || 'unknown board', arch: arch(), cpus: availableParallelism(), memMiB: totalMiB }
}
