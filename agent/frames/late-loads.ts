// A model of the board's own folder that did not load at the start may load later: memory was short, the disk was away, the file
// has been mended. It is tried again, each time after a longer wait, until it is served; at a console that is the console's affair.
import type { ModelPackage } from '../../models/catalog.ts'
import type { Serving } from './serving.ts'

interface Options {
  readonly folder: readonly ModelPackage[]
  readonly serving: Pick<Serving, 'find' | 'load'>
  /** Before the try after so many failures; rejects when the board stops. */
  readonly pause: (failures: number) => Promise<void>
  /** More is served than before. */
  readonly changed: () => void
}

/** Resolves when everything is served. */
export async function loadLate({ folder, serving, pause, changed }: Options): Promise<void> {
  const missing = (): readonly ModelPackage[] => folder.filter(({ manifest }) => !serving.find(manifest.id))
  for (let failures = 1; missing().length > 0; failures += 1) {
    await pause(failures)
    const before = missing()
    await serving.load(before)
    if (missing().length < before.length) changed()
  }
}
