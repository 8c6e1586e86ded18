// The models this board serves: the newest version of each id in the model folder, loaded into the inference host.
import type { Logger } from 'pino'
import type { Catalog, ModelPackage } from '../../models/catalog.ts'
import { HostError, type InferenceHost } from '../../models/runtime/host.ts'

export class ServingError extends Error {
  override readonly name = 'ServingError'
  readonly code: 'unknown-model' | 'none-loaded'
  constructor(code: ServingError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export interface Serving {
  find(id: string): ModelPackage | undefined
  names(): readonly string[]
  /** Why a package of the folder is not served. */
  fault(id: string): string | undefined
  served(): readonly ModelPackage[]
  /** Loads them one after the other; what cannot be loaded is left out and said. Rejects when none is left. */
  load(): Promise<void>
}

interface Options {
  readonly catalog: Catalog
  /** Only these ids; all when absent. */
  readonly only?: readonly string[]
  readonly host: Pick<InferenceHost, 'load'>
  readonly log: Logger
}

/** Throws ServingError for an id that no package has. */
export function createServing({ catalog, only, host, log }: Options): Serving {
  const ids = new Set(catalog.list().map(({ manifest }) => manifest.id))
  const packages = new Map<string, ModelPackage>()
  const faults = new Map<string, string>()
  for (const id of only ?? ids) {
    const pkg = catalog.resolve(id)
    if (!pkg) throw new ServingError('unknown-model', `there is no model ${id}; there are ${[...ids].join(', ')}`)
    packages.set(id, pkg)
  }

  async function load(pkg: ModelPackage): Promise<void> {
    const { id, version } = pkg.manifest
    try {
      await host.load(pkg)
      log.info({ model: id, version }, 'model loaded')
    } catch (error) {
      if (!(error instanceof HostError)) throw error
      log.error({ model: id, version, reason: error.message }, 'model not loaded: it is not served')
      faults.set(id, error.message)
      packages.delete(id)
    }
  }

  return {
    find: (id) => packages.get(id),
    names: () => [...packages.keys()],
    fault: (id) => faults.get(id),
    served: () => [...packages.values()],
    async load() {
      for (const pkg of [...packages.values()]) await load(pkg)
      if (packages.size > 0) return
      const [reason = 'the model folder is empty'] = faults.values()
      throw new ServingError('none-loaded', `no model can be served: ${reason}`)
    },
  }
}
