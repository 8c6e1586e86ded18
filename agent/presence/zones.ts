// Thermal zones of the kernel: told apart by their type, because the index says nothing.
import { defined, rounded, type Tree } from './sysfs.ts'

export interface Zone {
  /** The kernel's type: `cpu-thermal`, `tj-thermal`, `x86_pkg_temp`. */
  readonly zone: string
  readonly c: number
  readonly folder: string
}

export interface Trip {
  /** `passive` slows the processor, `hot` warns, `critical` switches off; `active` is a fan. */
  readonly type: string
  readonly c: number
}

const ZONES = 'sys/class/thermal'
/** Zone types that measure the processor, best first: Raspberry Pi and most ARM boards, Jetson, x86. */
const PROCESSOR = [
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

/** A running chip is never at exactly 0.000 °C: that is a sensor that is not there. */
const celsius = (milli: number | undefined): number | undefined =>
  milli !== undefined && milli !== 0 && milli / 1000 > PLAUSIBLE_C.from && milli / 1000 < PLAUSIBLE_C.to
    ? rounded(milli / 1000, 1)
    : undefined

export async function readZone(tree: Tree, folder: string): Promise<Zone | undefined> {
  const [zone, milli] = await Promise.all([tree.text(`${folder}/type`), tree.number(`${folder}/temp`)])
  const c = celsius(milli)
  return zone !== undefined && c !== undefined ? { zone, c, folder } : undefined
}

export async function readZones(tree: Tree): Promise<Zone[]> {
  const names = await tree.names(ZONES, /^thermal_zone\d+$/)
  return defined(await Promise.all(names.map((name) => readZone(tree, `${ZONES}/${name}`))))
}

export const processorOf = (zones: readonly Zone[]): Zone | undefined =>
  defined(PROCESSOR.map((type) => zones.find(({ zone }) => zone === type)))[0]

/** Where the kernel itself acts; a trip point that is switched off reads 0 or below. */
export async function readTrips(tree: Tree, { folder }: Pick<Zone, 'folder'>): Promise<Trip[]> {
  const names = await tree.names(folder, /^trip_point_\d+_temp$/)
  const trips = names.map(async (name): Promise<Trip | undefined> => {
    const [type, milli] = await Promise.all([
      tree.text(`${folder}/${name.replace(/_temp$/, '_type')}`),
      tree.number(`${folder}/${name}`),
    ])
    const c = celsius(milli)
    return type !== undefined && c !== undefined && c > 0 ? { type, c } : undefined
  })
  return defined(await Promise.all(trips))
}
