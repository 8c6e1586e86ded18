// How far this board is with the version that the console wants: each change is said at once, a mere percentage every few seconds.
import type { Logger } from 'pino'
import type { SoftwareState } from '../../broker/protocol/messages.ts'
import type { Clock } from '../clock.ts'

export type Told = Omit<NonNullable<SoftwareState['wanted']>, 'version' | 'release'>

export interface Telling {
  now(): (Told & { readonly release: string }) | undefined
  tell(release: string, told: Told): void
  /** Nothing else is wanted than what runs. */
  done(): void
}

const DONE_MS = 5_000

interface Options {
  /** What `now` answers is worth saying. */
  readonly changed: () => void
  readonly clock: Pick<Clock, 'elapsed'>
  readonly log: Logger
}

export function createTelling({ changed, clock, log }: Options): Telling {
  let now: (Told & { readonly release: string }) | undefined
  let saidAt = Number.NEGATIVE_INFINITY

  return {
    now: () => now,
    tell(release, told) {
      const { state, reason, done } = told
      const isSame = now?.release === release && now.state === state && now.reason === reason
      const isOld = clock.elapsed() - saidAt >= DONE_MS
      if (!isSame && reason !== undefined) log.warn({ release, state, reason }, 'the agent is not updated')
      const isNews = !isSame || (done !== now?.done && isOld)
      now = { release, ...told }
      if (!isNews) return
      saidAt = clock.elapsed()
      changed()
    },
    done() {
      if (now === undefined) return
      now = undefined
      changed()
    },
  }
}
