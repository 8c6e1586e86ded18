// Where this board's models come from: its own folder, or, at a console that has a say, what that wants.
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { PackageState } from '../broker/protocol/messages.ts'
import { CatalogError, type ModelPackage, readCatalog } from '../models/catalog.ts'
import { proveGoldens } from '../models/proof.ts'
import type { InferenceHost } from '../models/runtime/host.ts'
import { systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { loadLate } from './frames/late-loads.ts'
import { packagesOf, type Serving } from './frames/serving.ts'
import type { Work } from './frames/work.ts'
import type { Membership } from './membership.ts'
import { backOffMs } from './packages/holds.ts'
import { readPins } from './packages/trust.ts'
import { createPackages, type Packages } from './packages.ts'
import { archOf } from './software/place.ts'

const MIB = 1024 * 1024

export interface Supply {
  /** Before the board connects: frames for what it will serve are taken in from the first moment. */
  open(): Promise<void>
  load(): Promise<void>
  /** Follows the console's wishes until aborted. */
  run(signal: AbortSignal): Promise<void>
  connected(): void
  /** Of packages that are wanted and not served. */
  states(): readonly PackageState[]
  /** Present at a console. */
  readonly packages?: Packages
}

interface Options {
  readonly config: Config
  readonly membership: Membership
  readonly folder: readonly ModelPackage[]
  readonly serving: Serving
  readonly host: InferenceHost
  readonly work: Pick<Work, 'finished' | 'load'>
  /** What is served, or on its way, has changed. */
  readonly changed: () => void
  /** The console wants something else than before. */
  readonly wished: () => void
  readonly version: string
  readonly log: Logger
}

/** The packages of the model folder that may be served. Throws CatalogError, ServingError. */
export async function readFolder(config: Config, { renewal }: Membership, log: Logger) {
  try {
    const catalog = await readCatalog(config.models)
    if (!renewal) return packagesOf(catalog, config.serve)
    // What is not in the folder may come from the console.
    return packagesOf(
      catalog,
      config.serve?.filter((id) => catalog.resolve(id)),
    )
  } catch (error) {
    const hasOthers = renewal && existsSync(join(config.data, 'packages', 'served.json'))
    if (!(error instanceof CatalogError) || !hasOthers) throw error
    log.error(
      { reason: error.message },
      'the model folder cannot be used; this board goes on with what its console sent',
    )
    return []
  }
}

export function openSupply(options: Options): Supply {
  const { membership, serving, folder, changed, log } = options
  if (membership.renewal) return fromConsole(createPackages(packagesOptions(options, membership.renewal)), options)
  return {
    open: async () => serving.expect(folder),
    async load() {
      await serving.load()
      // Not an end: whoever looks after the board is told, and a supervisor would only start it again for ever.
      if (serving.served().length === 0) log.error('no model can be served: the lines before say why')
    },
    async run(signal) {
      const pause = (failures: number): Promise<void> => wait(backOffMs(failures, Math.random), undefined, { signal })
      await loadLate({ folder, serving, pause, changed })
    },
    connected: () => {},
    states: () => [],
  }
}

function fromConsole(packages: Packages, { serving, log }: Options): Supply {
  return {
    ...packages,
    async load() {
      await packages.restore()
      if (serving.served().length === 0) log.error('no model can be served yet: the console may send one')
    },
    packages,
  }
}

export async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

function packagesOptions(options: Options, renewal: NonNullable<Membership['renewal']>) {
  const { config, serving, host, work } = options
  const pins = readPins({
    ...(config.publisherKeys !== undefined && { file: config.publisherKeys }),
    ...(config.trustPublisher !== undefined && { named: config.trustPublisher }),
  })
  const arch = archOf(process.arch)
  return {
    ...options,
    ...(arch && { arch }),
    data: config.data,
    console: { url: renewal.current().console, bearer: () => renewal.current().credential },
    doubt: renewal.doubt,
    ...(pins && { pins }),
    ...(config.serve && { only: config.serve }),
    quotaBytes: config.cacheMiB * MIB,
    freeBytes: () => freeBytesOf(config.data),
    serving,
    prove: (pkg: ModelPackage) => proveGoldens(host, pkg),
    drained: work.finished,
    isBusy: () => work.load() > 0,
    clock: systemClock,
    random: Math.random,
  }
}
