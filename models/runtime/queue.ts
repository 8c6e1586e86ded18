// Orders to the inference process in order: a few at a time, the first under a clock, the others safe if it dies.
import type { ResultError } from '../../broker/protocol/messages.ts'
import type { Order, Reply } from './messages.ts'

export interface Job {
  readonly order: Order
  readonly limitMs: number
  replied(reply: Reply): void
  /** It was over its limit, the process died over it, or nothing will be run any more. */
  ended(error: ResultError): void
}

export interface Queue {
  add(job: Job): void
  /** The process can take orders; `first` go before all that waits. */
  open(first: readonly Job[]): void
  replied(reply: Exclude<Reply, { type: 'ready' }>): void
  /** The process is gone: what it was working on is answered, the rest waits for the next one. */
  gone(how: string): void
  endAll(error: ResultError): void
  readonly timeouts: number
}

interface QueueDeps {
  readonly send: (order: Order) => void
  /** The first order is over its limit: kill the process. */
  readonly overLimit: (job: Job) => void
}

/** One running, one being decoded, one on its way: what waits longer waits here, where a crash cannot touch it. */
const IN_FLIGHT = 3

export function createQueue({ send, overLimit }: QueueDeps): Queue {
  const waiting: Job[] = []
  const inFlight: Job[] = []
  let isOpen = false
  let timeouts = 0
  let timer: NodeJS.Timeout | undefined

  function pump(): void {
    while (isOpen && inFlight.length < IN_FLIGHT) {
      const job = waiting.shift()
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
    head.ended({ code: 'timeout', message: `not finished within ${head.limitMs} ms` })
  }

  return {
    add(job) {
      waiting.push(job)
      pump()
    },
    open(first) {
      waiting.unshift(...first)
      isOpen = true
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
    gone(how) {
      clearTimeout(timer)
      // Not open: the process was killed over a limit, and that job is answered.
      const head = isOpen ? inFlight.shift() : undefined
      isOpen = false
      waiting.unshift(...inFlight.splice(0))
      head?.ended({ code: 'crashed', message: `the inference process ended (${how})` })
    },
    endAll(error) {
      clearTimeout(timer)
      isOpen = false
      for (const job of [...inFlight.splice(0), ...waiting.splice(0)]) job.ended(error)
    },
    get timeouts() {
      return timeouts
    },
  }
}
