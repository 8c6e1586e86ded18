// The processor's temperature, cheaply and often: its zone is looked for once, and again when it is gone.
import type { Tree } from './sysfs.ts'
import { type Limits, limitsOf } from './thermal.ts'
import { processorOf, readTrips, readZone, readZones } from './zones.ts'

export function createThermometer(tree: Tree): () => Promise<number | undefined> {
  let folder: string | undefined
  return async () => {
    const known = folder === undefined ? undefined : await readZone(tree, folder)
    if (known) return known.c
    const zone = processorOf(await readZones(tree))
    folder = zone?.folder
    return zone?.c
  }
}

/** Where this board should slow, from its own trip points where it has some. */
export async function readLimits(
  tree: Tree,
  board: { readonly model: string; readonly arch: string },
): Promise<Limits> {
  const zone = processorOf(await readZones(tree))
  return limitsOf(zone ? await readTrips(tree, zone) : [], board)
}
