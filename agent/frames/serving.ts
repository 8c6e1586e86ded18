// The models this board serves now, by id. The set changes while it works: a new version takes over from one frame to the next,
// and those taken before still have the package they were taken for.
import type { Logger } from 'pino'
import { type Catalog, type ModelPackage, nameOf } from '../../models/catalog.ts'
import { HostError, type InferenceHost } from '../../models/runtime/host.ts'

export class ServingError extends Error {
  override readonly name = 'ServingError'
  readonly code = 'unknown-model'
}

export interface Serving {
  /** What a frame for this id is run with: while the board starts, what it is about to load. */
  find(id: string): ModelPackage | undefined
  names(): readonly string[]
  /** Why a package that should be served is not. */
  fault(id: string): string | undefined
  served(): readonly ModelPackage[]
  /** Will be loaded in a moment: frames for them are taken in. Whatever was expected before is not any more. */
  expect(packages: readonly ModelPackage[]): void
  /** Loads these, or what is expected, one after the other; what cannot be loaded is left out and said. */
  load(packages?: readonly ModelPackage[]): Promise<void>
  /** Into the host's memory, beside what is served. Rejects with HostError. */
  prepare(pkg: ModelPackage): Promise<void>
  /** From now on its id is served with it. Answers what it replaced. Rejects with HostError, and nothing has changed. */
  activate(pkg: ModelPackage): Promise<ModelPackage | undefined>
  /** From now on the id is not served. Answers what it was served with. */
  retire(id: string): ModelPackage | undefined
  /** Out of the host's memory, unless it is served, perhaps again. */
  release(pkg: ModelPackage): Promise<void>
  failed(id: string, reason: string): void
  /** What was in the way of every model is gone: none counts as failed any more. */
  cleared(): void
}

interface Options {
  readonly host: Pick<InferenceHost, 'load' | 'unload'>
  readonly log: Logger
}

/** The newest package of each id, or of those named. Throws ServingError for an id that no package has. */
export function packagesOf(catalog: Catalog, only?: readonly string[]): readonly ModelPackage[] {
  const ids = new Set(catalog.list().map(({ manifest }) => manifest.id))
  return [...(only ?? ids)].map((id) => {
    const pkg = catalog.resolve(id)
    if (!pkg) throw new ServingError(`there is no model ${id}; there are ${[...ids].join(', ')}`)
    return pkg
  })
}

export function createServing({ host, log }: Options): Serving {
  const served = new Map<string, ModelPackage>()
  const expected = new Map<string, ModelPackage>()
  const faults = new Map<string, string>()
  /** What the host holds, by id@version. */
  const loaded = new Map<string, ModelPackage>()

  async function prepare(pkg: ModelPackage): Promise<void> {
    if (loaded.get(nameOf(pkg)) === pkg) return
    await host.load(pkg)
    loaded.set(nameOf(pkg), pkg)
  }

  async function activate(pkg: ModelPackage): Promise<ModelPackage | undefined> {
    const { id, version } = pkg.manifest
    await prepare(pkg)
    const before = served.get(id)
    served.set(id, pkg)
    expected.delete(id)
    faults.delete(id)
    log.info({ model: id, version, ...(before && { before: before.manifest.version }) }, 'model loaded')
    return before === pkg ? undefined : before
  }

  function failed(id: string, reason: string): void {
    expected.delete(id)
    faults.set(id, reason)
  }

  async function loadOne(pkg: ModelPackage): Promise<void> {
    const { id, version } = pkg.manifest
    try {
      await activate(pkg)
    } catch (error) {
      if (!(error instanceof HostError)) throw error
      log.error({ model: id, version, reason: error.message }, 'model not loaded: it is not served')
      failed(id, error.message)
    }
  }

  return {
    find: (id) => served.get(id) ?? expected.get(id),
    names: () => [...new Set([...served.keys(), ...expected.keys()])],
    fault: (id) => faults.get(id),
    served: () => [...served.values()],
    expect(packages) {
      expected.clear()
      for (const pkg of packages) expected.set(pkg.manifest.id, pkg)
    },
    async load(packages = [...expected.values()]) {
      for (const pkg of packages) await loadOne(pkg)
    },
    prepare,
    activate,
    retire(id) {
      const before = served.get(id)
      served.delete(id)
      expected.delete(id)
      if (before) log.info({ model: id, version: before.manifest.version }, 'model is not served any more')
      return before
    },
    async release(pkg) {
      const name = nameOf(pkg)
      if (served.get(pkg.manifest.id) === pkg || loaded.get(name) !== pkg) return
      loaded.delete(name)
      await host.unload(name)
    },
    failed,
    cleared: () => faults.clear(),
  }
}
