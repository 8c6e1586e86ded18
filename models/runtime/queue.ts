// Orders to the inference process in order: a few at a time, the first under a clock, the others safe if it dies.
import type { ResultError } from '../../broker/protocol/messages.ts'
import type { Order, Reply } from './messages.ts'
import { createWaiting } from './waiting.ts'

export interface Job {
  readonly order: Order
  readonly limitMs: number
  /** Milliseconds of `elapsed` after which it is not begun any more. */
  readonly until?: number
  replied(reply: Reply): void
  /** Nothing will be run any more; or, `killed`, it was over its limit or the process died over it. */
  ended(error: ResultError, killed?: true): void
  /** Present where another process may run it: it is not run here. */
  moved?(): void
}

export interface Queue {
  add(job: Job): void
  /** The process can take orders; `first` go before all that waits. */
  open(first: readonly Job[]): void
  replied(reply: Exclude<Reply, { type: 'ready' }>): void
  /** The process is gone: what it was working on is answered, the rest waits for the next one. */
  gone(how: string): void
  /** Nothing more goes out; once what is out was answered, `drained` is called. */
  drain(): void
  /** Parts with what waits and may be run by another process. */
  handOver(): void
  /** The end of all that waits, and of all that comes until the next process can take orders. */
  close(error: ResultError): void
  readonly timeouts: number
  /** True from `drain` until the next process. */
  readonly isDraining: boolean
}

interface QueueDeps {
  readonly send: (order: Order) => void
  /** The first order is over its limit: kill the process. */
  readonly overLimit: (job: Job) => void
  readonly drained: () => void
  readonly elapsed: () => number
}

/** One running, one being decoded, one on its way: what waits longer waits here, where a crash cannot touch it. */
export const RUNS_PER_PROCESS = 3

export function createQueue({ send, overLimit, drained, elapsed }: QueueDeps): Queue {
  const waiting = createWaiting<Job>(elapsed)
  const inFlight: Job[] = []
  let isOpen = false
  let isDraining = false
  let timeouts = 0
  /** What this process began with: the next one brings its own. */
  let openers: ReadonlySet<Job> = new Set()
  let timer: NodeJS.Timeout | undefined

  /** Behind a load a run would only wait in the process: it does so here, where its deadline is looked at. */
  const mayGo = ({ order }: Job): boolean =>
    order.type !== 'run' || inFlight.every((other) => other.order.type !== 'load')

  function pump(): void {
    if (isDraining) {
      if (inFlight.length === 0 && isOpen) {
        isOpen = false
        drained()
      }
      return
    }
    while (isOpen && inFlight.length < RUNS_PER_PROCESS) {
      const job = waiting.next(mayGo)
      if (!job) return
      inFlight.push(job)
      send(job.order)
      if (inFlight.length === 1) watch()
    }
  }

  /** The clock of a job runs from when the job before it was answered. */
  function watch(): void {
    clearTimeout(timer)
    const [head] = inFlight
    if (head) timer = setTimeout(() => expire(head), head.limitMs)
  }

  function expire(head: Job): void {
    isOpen = false
    timeouts++
    inFlight.shift()
    overLimit(head)
    head.ended({ code: 'timeout', message: `not finished within ${head.limitMs} ms` }, true)
  }

  return {
    add(job) {
      waiting.add(job)
      pump()
    },
    open(first) {
      openers = new Set(first)
      waiting.open(first)
      isOpen = true
      isDraining = false
      pump()
    },
    replied(reply) {
      // After its limit a job has been answered; a reply that still arrives is dropped.
      if (!isOpen || inFlight[0]?.order.id !== reply.id) return
      const job = inFlight.shift()
      watch()
      pump()
      job?.replied(reply)
    },
    drain() {
      isDraining = true
      pump()
    },
    gone(how) {
      clearTimeout(timer)
      isDraining = false
      // Not open: the process was killed over a limit, and that job is answered.
      const head = isOpen ? inFlight.shift() : undefined
      isOpen = false
      waiting.add(...[...inFlight.splice(0), ...waiting.takeAll()].filter((job) => !openers.has(job)))
      head?.ended({ code: 'crashed', message: `the inference process ended (${how})` }, true)
    },
    handOver() {
      for (const job of waiting.takeAll()) {
        if (job.moved) job.moved()
        else waiting.add(job)
      }
    },
    close(error) {
      clearTimeout(timer)
      isOpen = false
      for (const job of inFlight.splice(0)) job.ended(error)
      waiting.close(error)
    },
    get timeouts() {
      return timeouts
    },
    get isDraining() {
      return isDraining
    },
  }
}
