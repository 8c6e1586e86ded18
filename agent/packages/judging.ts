// What a proof says of a release. A wrong answer settles it; golden cases that could not be run are a moment's trouble, and only
// on many occasions the release itself.
import type { Logger } from 'pino'
import type { Unproven } from '../../models/proof.ts'
import type { Clock } from '../clock.ts'
import { PackageFault } from './fault.ts'
import type { Verdicts } from './verdicts.ts'

export type Proof = { readonly ok: true } | Unproven

const OCCASIONS = 5
/** Tries soon after each other meet the same trouble: they are one occasion. */
const OCCASION_MS = 10 * 60_000

interface Options {
  readonly verdicts: Pick<Verdicts, 'set'>
  /** Agent and runtime, once known. */
  readonly under: () => string | undefined
  readonly clock: Pick<Clock, 'elapsed'>
  readonly log: Logger
}

export interface Judging {
  /** Throws PackageFault where it is to be proven another time. */
  judge(release: string, proof: Proof): void
  refuse(release: string, reason: string): void
}

export function createJudging({ verdicts, under, clock, log }: Options): Judging {
  const tries = new Map<string, { readonly count: number; readonly at: number }>()

  function settle(release: string, reason?: string): void {
    tries.delete(release)
    const circumstances = under()
    if (circumstances === undefined) return
    verdicts.set(release, { under: circumstances, ...(reason !== undefined && { reason }) })
  }

  function refuse(release: string, reason: string): void {
    log.error({ release, reason }, 'a model package is refused: it is not served')
    settle(release, reason)
  }

  /** On how many occasions it could not be run, this one included. */
  function occasions(release: string): number {
    const { count, at } = tries.get(release) ?? { count: 0, at: Number.NEGATIVE_INFINITY }
    if (clock.elapsed() - at < OCCASION_MS) return count
    tries.set(release, { count: count + 1, at: clock.elapsed() })
    return count + 1
  }

  return {
    judge(release, proof) {
      if (proof.ok) return settle(release)
      const { cause, reason } = proof
      if (cause === 'answer') return refuse(release, reason)
      if (occasions(release) < OCCASIONS) throw new PackageFault('not-proven', reason)
      refuse(release, `${reason} (the last of ${OCCASIONS} occasions on which it was tried)`)
    },
    refuse,
  }
}
