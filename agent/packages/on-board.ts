// What this board serves without asking anybody: its own folder, with what the console sent last in its place. For commands that
// look at a board from outside.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { CatalogError, type ModelPackage, readCatalog, readPackage } from '../../models/catalog.ts'
import { packagesOf, ServingError } from '../frames/serving.ts'
import { openRecord } from './record.ts'

interface Folders {
  /** Of the board's own packages. */
  readonly models: string
  readonly data: string
  /** Ids; all when absent. */
  readonly serve?: readonly string[] | undefined
}

export interface OnBoard {
  readonly packages: readonly ModelPackage[]
  /** What cannot be read, under the id of the model where there is one. */
  readonly faults: readonly { readonly name: string; readonly message: string }[]
}

export async function readOnBoard({ models, data, serve }: Folders): Promise<OnBoard> {
  const packages = new Map<string, ModelPackage>()
  const faults: { name: string; message: string }[] = []
  const explained = async (name: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof CatalogError || error instanceof ServingError)) throw error
      faults.push({ name, message: error.message })
    }
  }
  await explained('models', async () => {
    for (const pkg of packagesOf(await readCatalog(models))) packages.set(pkg.manifest.id, pkg)
  })
  const sent = join(data, 'packages')
  for (const [id, { release }] of openRecord(join(sent, 'served.json'), () => {}).last())
    await explained(id, async () => {
      const name = readdirSync(sent).find((one) => one.endsWith(`.${release}`))
      if (name === undefined) throw new CatalogError('missing-file', `what the console sent of ${id} is gone`)
      packages.set(id, await readPackage(join(sent, name)))
    })
  const all = [...packages.values()].filter(({ manifest }) => serve?.includes(manifest.id) ?? true)
  for (const id of serve ?? [])
    if (!packages.has(id)) faults.push({ name: id, message: `there is no model ${id} on this board` })
  return { packages: all, faults }
}
