// Which model versions this board serves, when a console has a say: it is asked what should be, and the board gets there step
// by step, from wherever a crash, a power cut or a bad line left it. Until then it serves what it has.
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { PackageState } from '../broker/protocol/messages.ts'
import type { Desired } from '../broker/protocol/packages.ts'
import type { Arch } from '../broker/protocol/software.ts'
import type { ModelPackage } from '../models/catalog.ts'
import type { InferenceHost } from '../models/runtime/host.ts'
import type { Clock } from './clock.ts'
import type { Serving } from './frames/serving.ts'
import { createAsking } from './packages/asking.ts'
import { createBreath } from './packages/bell.ts'
import { openCache } from './packages/cache.ts'
import { createConverging } from './packages/converging.ts'
import { type ConsoleAccess, createDesired, type DesiredState } from './packages/desired.ts'
import { createFetching } from './packages/fetching.ts'
import { createHolds } from './packages/holds.ts'
import type { Proof } from './packages/judging.ts'
import type { Target } from './packages/plan.ts'
import { createNews } from './packages/progress.ts'
import { createProving } from './packages/proving.ts'
import { openRecord, type WriteNote } from './packages/record.ts'
import { createExecutors } from './packages/steps.ts'
import type { Publishers } from './packages/trust.ts'
import { openVerdicts } from './packages/verdicts.ts'
import { createView } from './packages/view.ts'
import { removeLeftovers, writePrivate } from './private-file.ts'

/** A command's sender does not wait longer for its answer. */
const COMMAND_MS = 15_000

export interface Packages {
  /** Before the board connects: frames for what it will serve are taken in from the first moment. */
  open(): Promise<void>
  /** Loads what can be served without network. */
  restore(): Promise<void>
  /** Asks and converges until aborted. */
  run(signal: AbortSignal): Promise<void>
  /** The board has a connection, perhaps a new one: ask now, and try again what failed. */
  connected(): void
  /**
   * The command: asks now; the answer says what is wanted and what is still on its way. `retry`: what was found bad on this board
   * is tried again. Rejects with PackageFault.
   */
  converge(retry?: boolean): Promise<{ readonly revision?: number; readonly packages: readonly PackageState[] }>
  /** What should be served and is not, for the birth message. */
  states(): readonly PackageState[]
  /** What the console said last; undefined until it has said something. */
  desired(): Desired | undefined
  /** This board's clock minus the console's, ms; undefined until it has said something. */
  skewMs(): number | undefined
}

export interface PackagesOptions {
  readonly data: string
  readonly console: ConsoleAccess
  /** The console refused the credential. */
  readonly doubt: () => void
  readonly pins?: Publishers
  /** Ids that the owner lets this board serve; all when absent. */
  readonly only?: readonly string[]
  readonly quotaBytes: number
  readonly freeBytes: () => Promise<number>
  /** The packages of the board's own folder. */
  readonly folder: readonly ModelPackage[]
  readonly serving: Serving
  readonly host: Pick<InferenceHost, 'runtime'>
  readonly prove: (pkg: ModelPackage) => Promise<Proof>
  readonly drained: (pkg: ModelPackage) => Promise<void>
  /** Frames wait: a download can wait as well. */
  readonly isBusy: () => boolean
  /** What is served, or what `states` says, has changed. */
  readonly changed: () => void
  /** The console wants something else than before. */
  readonly wished?: () => void
  /** Of this board, where the console may have a say in its software. */
  readonly arch?: Arch
  readonly version: string
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
}

export function createPackages(options: PackagesOptions): Packages {
  const { data, serving, clock } = options
  const desired = createDesired({ ...options, file: join(data, 'desired.json'), ...clock })
  const parts = assemble(options, desired)
  const { converging, holds } = parts
  const asking = createAsking({
    ...options,
    desired,
    changed() {
      converging.retarget()
      options.wished?.()
    },
  })

  return {
    open: async () => {
      await parts.tidy()
      serving.expect(await converging.expected())
    },
    async restore() {
      parts.runs(JSON.stringify([options.version, await options.host.runtime()]))
      await converging.offline()
      // What could not be loaded is not expected any longer.
      serving.expect([])
    },
    async run(signal) {
      await Promise.all([asking.run(signal), converging.run(signal)])
    },
    connected() {
      holds.reconnected()
      asking.wake()
      converging.wake()
    },
    async converge(retry = false) {
      await asking.ask(AbortSignal.timeout(COMMAND_MS))
      if (retry) parts.pardon()
      holds.lift()
      converging.wake()
      const revision = desired.current()?.revision
      return { ...(revision !== undefined && { revision }), packages: converging.states() }
    },
    states: converging.states,
    desired: desired.current,
    skewMs: desired.skewMs,
  }
}

const publishersOf = (desired: DesiredState): Publishers =>
  new Map(desired.current()?.publishers.map(({ id, key }) => [id, key]))

const namedIn = (target: Target): string[] => (target === 'folder' ? [] : target.map(({ release }) => release))

/** Disk, knowledge, plan and hands, wired. */
function assemble(options: PackagesOptions, desired: DesiredState) {
  const { only, pins, serving, clock, log } = options
  const root = join(options.data, 'packages')
  const folder = new Map(options.folder.map((pkg) => [pkg.manifest.id, pkg]))
  const cache = openCache(root)
  const write = carefully(log)
  const verdicts = openVerdicts(join(root, '.verdicts'), write)
  const record = openRecord(join(root, 'served.json'), write)
  const holds = createHolds({ ...clock, random: options.random })
  let circumstances: string | undefined
  const under = (): string | undefined => circumstances
  const target = (): Target =>
    desired.current()?.models?.filter(({ id }) => only === undefined || only.includes(id)) ?? 'folder'
  const proving = createProving({ ...options, cache, verdicts, record, under })
  const fetching = createFetching({ ...options, staging: cache, folder, breathe: createBreath(options) })
  const publishers = (): Publishers => pins ?? publishersOf(desired)
  const { releaseOf } = proving
  const view = createView({ ...options, cache, verdicts, record, holds, folder, releaseOf, publishers, under })
  const converging = createConverging({
    view,
    target,
    holds,
    folder,
    open: proving.open,
    executors: (busyWith) =>
      createExecutors({ cache, verdicts, fetching, proving, serving, record, folder, target, busyWith }),
    forbidden: options.doubt,
    news: createNews(options.changed, clock.elapsed),
    clock,
    log,
  })
  return {
    converging,
    holds,
    runs(described: string): void {
      circumstances = described
    },
    /** Forgets why what is wanted was refused. */
    pardon(): void {
      const refused = circumstances === undefined ? undefined : verdicts.refused(circumstances)
      for (const release of namedIn(target())) if (refused?.has(release)) verdicts.forget(release)
    },
    async tidy(): Promise<void> {
      for (const written of [options.data, root, join(root, '.verdicts')]) removeLeftovers(written)
      await cache.tidy()
      verdicts.retain(new Set([...(await cache.look()).keys(), ...namedIn(target())]))
    },
  }
}

/** Notes for the next start: a disk that takes none does not keep this process from serving. */
const carefully =
  (log: Logger): WriteNote =>
  (file, text) => {
    try {
      writePrivate(file, text)
    } catch (error) {
      log.error({ file, err: error }, 'not written: the next start may have to find it out again')
    }
  }
