// Plan, do the first step, look again: until nothing is left to do. One step at a time, and a new wish of the console cuts off
// the download of what it does not want any more.
import type { Logger } from 'pino'
import type { PackageState } from '../../broker/protocol/messages.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import type { Clock } from '../clock.ts'
import { createBell } from './bell.ts'
import type { Holds } from './holds.ts'
import { needsNetwork, plan, type Step, type Target } from './plan.ts'
import { type Activity, folderStatesOf, statesOf } from './progress.ts'
import type { Proving } from './proving.ts'
import { createStepping } from './stepping.ts'
import type { Executors } from './steps.ts'
import type { View } from './view.ts'

interface Options {
  readonly view: { look(target: Target): Promise<View> }
  readonly target: () => Target
  readonly holds: Holds
  readonly executors: (busyWith: (activity: Activity) => void) => Executors
  readonly forbidden: () => void
  /** The packages of the board's own folder, by id. */
  readonly folder: ReadonlyMap<string, ModelPackage>
  /** The checked package of a release on disk. */
  readonly open: Proving['open']
  readonly news: (served: ReadonlyMap<string, string>, states: readonly PackageState[]) => void
  readonly clock: Clock
  readonly log: Logger
}

export interface Converging {
  /** What will be loaded first: the packages of the plan's steps that need no network. */
  expected(): Promise<readonly ModelPackage[]>
  /** Everything that can be done without network. */
  offline(): Promise<void>
  run(signal: AbortSignal): Promise<void>
  /** The target has changed: what was held back may be tried, what is under way may not be wanted any more. */
  retarget(): void
  wake(): void
  states(): readonly PackageState[]
}

/** A disk that failed is looked at again after a minute. */
const BROKEN_MS = 60_000
/** Timers overflow at 24 days. */
const LONGEST_MS = 86_400_000

export function createConverging(options: Options): Converging {
  const { view, target, holds, news, log } = options
  const bell = createBell(options.clock)
  let seen: View | undefined
  const tell = (): void => {
    if (seen) news(seen.served, states())
  }

  function states(): readonly PackageState[] {
    if (!seen) return []
    const ofConsole = statesOf(seen, target(), holds.reason, stepping.activity())
    return [...ofConsole, ...folderStatesOf(seen, target(), holds.reason, options.folder)]
  }

  const stepping = createStepping({ ...options, changed: tell })

  const isWanted = (step: Step): boolean => {
    const wanted = target()
    return !('release' in step) || (wanted !== 'folder' && wanted.some(({ release }) => release === step.release))
  }

  async function converge(signal: AbortSignal, isAllowed: (step: Step) => boolean): Promise<void> {
    let before = ''
    while (!signal.aborted) {
      seen = await view.look(target())
      const step = plan(seen, target()).find(isAllowed)
      if (!step) stepping.rest()
      tell()
      if (!step) return
      const text = JSON.stringify(step)
      // Done, and yet to be done: whatever it is, it must not keep a processor busy for ever.
      if (text === before) return stepping.failed(step, new Error(`${step.do} did not help`))
      await stepping.execute(step, seen, signal)
      before = text
    }
  }

  /** False when the cache itself could not be read: what is served goes on being served. */
  async function turn(signal: AbortSignal, isAllowed: (step: Step) => boolean): Promise<boolean> {
    try {
      await converge(signal, isAllowed)
      return true
    } catch (error) {
      log.error({ err: error }, 'the model packages on this board cannot be managed now')
      return false
    }
  }

  async function packageOf(step: Step, current: View): Promise<ModelPackage | undefined> {
    if (step.do === 'activate-folder') return options.folder.get(step.id)
    if (step.do !== 'activate' && step.do !== 'prove') return undefined
    try {
      return await options.open(current, step.release)
    } catch (error) {
      stepping.failed(step, error)
      return undefined
    }
  }

  return {
    async expected() {
      const current = await view.look(target())
      const packages: ModelPackage[] = []
      for (const step of plan(current, target())) {
        const pkg = await packageOf(step, current)
        if (pkg) packages.push(pkg)
      }
      return packages
    },
    offline: () => turn(new AbortController().signal, (step) => !needsNetwork(step)).then(() => undefined),
    async run(signal) {
      while (!signal.aborted) {
        const ended = await turn(signal, () => true)
        await bell.wait(ended ? (holds.nextMs() ?? LONGEST_MS) : BROKEN_MS, signal)
      }
    },
    retarget() {
      holds.lift()
      stepping.stop((step) => needsNetwork(step) && !isWanted(step))
      bell.ring()
    },
    wake: () => bell.ring(),
    states,
  }
}
