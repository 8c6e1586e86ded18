// How each step of a plan is done. Every one may be cut off anywhere, and be done again.
import type { ModelPackage } from '../../models/catalog.ts'
import { openPackage } from '../../models/contents.ts'
import { HostError } from '../../models/runtime/host.ts'
import type { Serving } from '../frames/serving.ts'
import type { Cache } from './cache.ts'
import { PackageFault } from './fault.ts'
import type { Fetching } from './fetching.ts'
import type { Step, Target } from './plan.ts'
import type { Activity } from './progress.ts'
import type { Proving } from './proving.ts'
import type { ServedRecord } from './record.ts'
import type { Verdicts } from './verdicts.ts'
import type { View } from './view.ts'

interface Options {
  readonly cache: Pick<Cache, 'evict' | 'place' | 'sealed'>
  readonly verdicts: Pick<Verdicts, 'forget'>
  readonly fetching: Fetching
  readonly proving: Proving
  readonly serving: Pick<Serving, 'activate' | 'retire' | 'failed'>
  readonly record: Pick<ServedRecord, 'forget'>
  readonly folder: ReadonlyMap<string, ModelPackage>
  readonly target: () => Target
  /** The step under way, for whoever watches. */
  readonly busyWith: (activity: Activity) => void
}

export type Run<S extends Step> = (step: S, view: View, signal: AbortSignal) => Promise<void>
export type Executors = { readonly [D in Step['do']]: Run<Extract<Step, { do: D }>> }

export function createExecutors(options: Options): Executors {
  const { cache, verdicts, fetching, proving, serving, record, busyWith } = options

  const isWanted = (id: string): boolean => {
    const target = options.target()
    return options.folder.has(id) || (target !== 'folder' && target.some((model) => model.id === id))
  }

  async function activateFolder(id: string): Promise<void> {
    const pkg = options.folder.get(id)
    if (!pkg) return
    try {
      proving.dismiss(await serving.activate(pkg))
    } catch (error) {
      if (!(error instanceof HostError)) throw error
      serving.failed(id, error.message)
      throw new PackageFault('busy', error.message, error)
    }
  }

  return {
    async retire({ id }) {
      if (!isWanted(id)) record.forget(id)
      proving.dismiss(serving.retire(id))
    },
    activate: ({ release }, view) => proving.activate(view, release),
    'activate-folder': ({ id }) => activateFolder(id),
    async prove({ release }, view, signal) {
      busyWith({ release, state: 'proving', arrivedBytes: 0 })
      await proving.prove(view, release, signal)
    },
    async place({ release }, { signed }) {
      const entry = signed.get(release)
      if (entry) await cache.place(release, entry.release.id, entry.release.version)
    },
    async check({ release }, { signed }) {
      const entry = signed.get(release)
      if (!entry) return
      busyWith({ release, state: 'checking', arrivedBytes: 0 })
      const opened = await openPackage(entry.folder, entry.release)
      if (opened.ok) return cache.sealed(release)
      if (opened.fault === 'refused') proving.refuse(release, opened.reason)
      await cache.evict(release)
      if (opened.fault === 'damaged') throw new PackageFault('damaged', `${opened.reason}; it is fetched again`)
    },
    async evict({ release }, { releases }) {
      await cache.evict(release)
      // That it is bad is worth remembering: it would be fetched again.
      if (releases.get(release)?.refused === undefined) verdicts.forget(release)
    },
    async postpone({ reason }) {
      throw new PackageFault('no-room', reason)
    },
    async 'fetch-release'({ release }, _, signal) {
      busyWith({ release, state: 'downloading', arrivedBytes: 0 })
      await fetching.release(release, signal)
    },
    async 'fetch-file'({ release, file }, view, signal) {
      const arrived = (arrivedBytes: number): void => busyWith({ release, state: 'downloading', arrivedBytes })
      arrived(0)
      await fetching.file(view, release, file, arrived, signal)
    },
  }
}
