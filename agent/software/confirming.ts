// A new version on trial: it counts as well once it has been ready for some minutes, its heartbeats go out to the broker at that
// moment, and a served model still gives the answer that its publisher recorded. Whoever cannot show that is taken back by the launcher.
import type { Logger } from 'pino'
import { type ModelPackage, nameOf } from '../../models/catalog.ts'
import type { Clock } from '../clock.ts'
import { createBell } from '../packages/bell.ts'
import type { Proof } from '../packages/judging.ts'

interface Options {
  readonly trialMs: number
  readonly served: () => readonly ModelPackage[]
  /** Runs the golden cases of a served package. */
  readonly prove: (pkg: ModelPackage) => Promise<Proof>
  readonly confirm: () => void
  /** For whoever has to say why it was not enough. */
  readonly doubt: (reason: string | undefined) => void
  readonly clock: Clock
  readonly log: Logger
}

export interface Confirming {
  /** The service serves. */
  ready(): void
  /** A heartbeat went out over a connection to the broker. */
  beat(): void
  run(signal: AbortSignal): Promise<void>
}

/** Heartbeats go out every 30 s: two missed ones and half an interval of slack, as for the console. */
const FRESH_MS = 75_000
/** What is missing is looked for again so often in the time of one trial. */
const LOOKS = 20

export function createConfirming(options: Options): Confirming {
  const { trialMs, served, prove, clock, log } = options
  const readiness = createBell(clock)
  const nap = createBell(clock)
  let isReady = false
  let beatenAt: number | undefined

  async function missing(): Promise<string | undefined> {
    if (beatenAt === undefined) return 'no heartbeat of it reached the broker'
    const silentMs = clock.elapsed() - beatenAt
    if (silentMs > FRESH_MS) return `its last heartbeat reached the broker ${Math.round(silentMs / 1000)} s ago`
    const pkg = served().find(({ manifest }) => manifest.golden.length > 0)
    if (pkg === undefined) return 'it serves no model that has golden cases'
    const proof = await prove(pkg)
    return proof.ok ? undefined : `${nameOf(pkg)} is wrong: ${proof.reason}`
  }

  /** A disk that takes nothing is one more reason to go back. */
  function confirmed(): string | undefined {
    try {
      options.confirm()
      return undefined
    } catch (error) {
      return `it cannot be written down that it is well: ${error instanceof Error ? error.message : String(error)}`
    }
  }

  return {
    ready() {
      isReady = true
      readiness.ring()
    },
    beat() {
      beatenAt = clock.elapsed()
    },
    async run(signal) {
      options.doubt('it never got ready')
      while (!isReady && !signal.aborted) await readiness.wait(trialMs, signal)
      options.doubt(undefined)
      await nap.wait(trialMs, signal)
      let said: string | undefined
      while (!signal.aborted) {
        const lack = await missing()
        if (signal.aborted) return
        const reason = lack ?? confirmed()
        if (reason === undefined) return
        options.doubt(reason)
        if (reason !== said) log.warn({ reason }, 'the new version of the agent has not shown itself well yet')
        said = reason
        await nap.wait(trialMs / LOOKS, signal)
      }
    },
  }
}
