// Energy counters of x86 processors (RAPL): microjoules per package, wrapping around. Readable by root only on most systems.
import { defined, type Tree } from './sysfs.ts'

export interface Counter {
  readonly name: string
  readonly microjoules: number
  /** The value after which it begins again at 0. */
  readonly range: number
}

const FOLDER = 'sys/class/powercap'

/** Packages only: their parts (core, uncore, dram) are counted in them, or not comparable between machines. */
export async function readRapl(tree: Tree): Promise<Counter[]> {
  const domains = await tree.names(FOLDER, /^intel-rapl:\d+$/)
  const counters = domains.map(async (domain): Promise<Counter | undefined> => {
    const [name, microjoules, range] = await Promise.all([
      tree.text(`${FOLDER}/${domain}/name`),
      tree.number(`${FOLDER}/${domain}/energy_uj`),
      tree.number(`${FOLDER}/${domain}/max_energy_range_uj`),
    ])
    return name?.startsWith('package-') && microjoules !== undefined && range !== undefined && range > 0
      ? { name, microjoules, range }
      : undefined
  })
  return defined(await Promise.all(counters))
}

/** Joules between two readings; undefined when a package came or went. At most one turn of a counter is seen through. */
export function joulesBetween(before: readonly Counter[], after: readonly Counter[]): number | undefined {
  if (before.length === 0 || before.length !== after.length) return undefined
  let joules = 0
  for (const { name, microjoules, range } of after) {
    const from = before.find((counter) => counter.name === name)
    if (from === undefined) return undefined
    const grown = microjoules - from.microjoules
    joules += (grown < 0 ? grown + range : grown) / 1e6
  }
  return joules
}
