// Does one step at a time, and holds back what a step failed for.
import type { Logger } from 'pino'
import { PackageFault } from './fault.ts'
import type { Holds } from './holds.ts'
import { keyOf, type Step } from './plan.ts'
import type { Activity } from './progress.ts'
import type { Executors, Run } from './steps.ts'
import type { View } from './view.ts'

interface Options {
  readonly executors: (busyWith: (activity: Activity) => void) => Executors
  readonly holds: Pick<Holds, 'hold' | 'done' | 'reason'>
  /** The console refused the credential. */
  readonly forbidden: () => void
  /** The activity has changed. */
  readonly changed: () => void
  readonly log: Logger
}

export interface Stepping {
  /** Rejects only for a step that has no outside to fail by. */
  execute(step: Step, view: View, signal: AbortSignal): Promise<void>
  failed(step: Step, error: unknown): void
  activity(): Activity | undefined
  /** Nothing more to do for now. */
  rest(): void
  /** Cuts off the step under way where it is one of these. */
  stop(isMeant: (step: Step) => boolean): void
}

/** Nothing of it is left to be tried again. */
const SERVES: ReadonlySet<Step['do']> = new Set(['activate', 'activate-folder'])

export function createStepping({ executors, holds, forbidden, changed, log }: Options): Stepping {
  let activity: Activity | undefined
  let underWay: { readonly step: Step; readonly stop: AbortController } | undefined
  const table = executors((now) => {
    activity = now
    changed()
  })

  function failed(step: Step, error: unknown): void {
    const key = keyOf(step)
    if (key === undefined) throw error
    const reason = error instanceof Error ? error.message : String(error)
    if (!(error instanceof PackageFault)) log.error({ step, err: error }, 'a step failed')
    else if (holds.reason(key) !== reason) log.warn({ step, reason }, 'a model package must wait')
    const code = error instanceof PackageFault ? error.code : undefined
    if (code === 'forbidden') forbidden()
    // What came and was thrown away is no progress: a console that lies is asked ever more rarely.
    holds.hold(key, reason, code !== 'wrong-bytes' && (activity?.arrivedBytes ?? 0) > 0)
  }

  return {
    async execute(step, view, signal) {
      const stop = new AbortController()
      underWay = { step, stop }
      log.debug({ step }, 'package step')
      try {
        // The table holds for each step the executor of its own kind.
        const run = table[step.do] as Run<Step>
        await run(step, view, AbortSignal.any([signal, stop.signal]))
        const key = keyOf(step)
        if (key !== undefined && SERVES.has(step.do)) holds.done(key)
        // Between two steps of one release it is still being worked on.
        if (activity) activity = { ...activity, arrivedBytes: 0 }
      } catch (error) {
        if (!signal.aborted && !stop.signal.aborted) failed(step, error)
        activity = undefined
      } finally {
        underWay = undefined
      }
    },
    rest() {
      activity = undefined
    },
    failed,
    activity: () => activity,
    stop(isMeant) {
      if (underWay && isMeant(underWay.step)) underWay.stop.abort()
    },
  }
}
