// What waits for an inference process: in order, each until its deadline.
import type { ResultError } from '../../broker/protocol/messages.ts'
import { EXPIRED, LONGEST_TIMER_MS } from './lateness.ts'

interface Dated {
  /** Milliseconds of `elapsed`; absent: there is all the time of the world. */
  readonly until?: number
  ended(error: ResultError): void
}

export interface Waiting<J extends Dated> {
  add(...jobs: readonly J[]): void
  /** `first` go before all that waits. */
  open(first: readonly J[]): void
  /** The end of all that waits, and of all that comes until it is opened. */
  close(error: ResultError): void
  /** The first one, taken out, unless it may not go yet. */
  next(mayGo: (job: J) => boolean): J | undefined
  takeAll(): readonly J[]
}

export function createWaiting<J extends Dated>(elapsed: () => number): Waiting<J> {
  let jobs: readonly J[] = []
  let closedBy: ResultError | undefined
  let timer: NodeJS.Timeout | undefined

  const isLate = ({ until = Number.POSITIVE_INFINITY }: J): boolean => until <= elapsed()

  /** Those whose time has come are told now, not when their turn does. */
  function watch(): void {
    clearTimeout(timer)
    const late = jobs.filter(isLate)
    jobs = jobs.filter((job) => !late.includes(job))
    const next = Math.min(...jobs.map(({ until = Number.POSITIVE_INFINITY }) => until))
    if (next !== Number.POSITIVE_INFINITY)
      timer = setTimeout(watch, Math.min(LONGEST_TIMER_MS, Math.ceil(next - elapsed())))
    for (const job of late) job.ended(EXPIRED)
  }

  function takeAll(): readonly J[] {
    const all = jobs
    jobs = []
    clearTimeout(timer)
    return all
  }

  return {
    add(...more) {
      jobs = [...jobs, ...more]
      if (closedBy) for (const job of takeAll()) job.ended(closedBy)
      else watch()
    },
    open(first) {
      closedBy = undefined
      jobs = [...first, ...jobs]
    },
    close(error) {
      closedBy = error
      for (const job of takeAll()) job.ended(error)
    },
    next(mayGo) {
      if (jobs.some(isLate)) watch()
      const [job, ...rest] = jobs
      if (!job || !mayGo(job)) return undefined
      jobs = rest
      if (job.until !== undefined) watch()
      return job
    },
    takeAll,
  }
}
