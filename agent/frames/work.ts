// Takes frames from the queue and keeps the inference host filled: one run under way and the next ones decoding.
import type { ContentType } from '../../broker/protocol/envelope.ts'
import type { ResultError } from '../../broker/protocol/messages.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import type { InferenceHost, RunOutcome } from '../../models/runtime/host.ts'
import type { Address, Answers } from './answers.ts'
import { createPace } from './pace.ts'
import type { Queue, Waiting } from './queue.ts'
import type { Tally } from './tally.ts'

/** A frame that was taken in. */
export interface Job extends Waiting {
  readonly to: Address
  readonly pkg: ModelPackage
  readonly frame: { readonly contentType: ContentType; readonly data: Uint8Array }
}

export interface Work {
  /** Queues the job or refuses it; either way it is accounted for. */
  offer(job: Job): void
  /** The host is ready: begin. */
  start(): void
  /** True for a task that waits or runs. */
  has(model: string, task: string): boolean
  /** Frames waiting or running. */
  load(): number
  running(): number
  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void>
  /** Answers everything that waits with `busy`: the board goes away. */
  giveUp(): void
}

/** One running, one decoded, one decoding: more would only wait where the queue can no longer reorder it. */
const HOST_WINDOW = 3
interface Options {
  readonly queue: Queue<Job>
  readonly host: Pick<InferenceHost, 'run'>
  readonly answers: Answers
  readonly tally: Pick<Tally, 'dropped'>
  readonly now: () => number
}

const keyOf = (model: string, task: string): string => `${model}/${task}`

export function createWork({ queue, host, answers, tally, now }: Options): Work {
  const tasks = new Set<string>()
  const pace = createPace()
  let waiting: (() => void)[] = []
  let started = false
  let running = 0

  /** Never negative: the wall clock may have been set back. */
  const waitedMs = ({ arrivedAt }: Job): number => Math.max(0, now() - arrivedAt)

  const forget = ({ to }: Job): void => {
    if (to.task !== undefined) tasks.delete(keyOf(to.model, to.task))
  }

  const busy = (message: string, ahead: number): ResultError => ({
    code: 'busy',
    message,
    retryAfterMs: Math.min(60_000, Math.max(100, Math.round(ahead * pace.ms()))),
  })

  function refuse(job: Job, error: ResultError): void {
    forget(job)
    answers.refused(job.to, error, waitedMs(job), job.pkg)
  }

  function expire(job: Job): void {
    if (job.kind === 'frame') tally.dropped('late')
    else
      refuse(job, { code: 'expired', message: `the deadline passed after ${waitedMs(job)} ms in this board's queue` })
  }

  function pump(): void {
    while (started && running < HOST_WINDOW) {
      const { next, expired } = queue.take(now())
      for (const job of expired) expire(job)
      if (next === undefined) break
      running += 1
      void run(next)
    }
    if (running > 0 || queue.size() > 0) return
    for (const resolve of waiting) resolve()
    waiting = []
  }

  async function run(job: Job): Promise<void> {
    const startedAt = now()
    const queuedMs = waitedMs(job)
    const outcome: RunOutcome = await host.run(job.pkg, job.frame)
    running -= 1
    // The host is fed before the answer is written: while this process waits for the disk, the next run goes on.
    pump()
    pace.ended(startedAt, now())
    forget(job)
    answers.ran(job.to, job.pkg, job.frame.data, outcome, queuedMs)
    pump()
  }

  function notQueued(job: Job, ahead: number): void {
    if (job.kind === 'frame') tally.dropped('queue-full')
    else refuse(job, busy(`${ahead} frames are already waiting for ${job.model} on this board`, ahead))
  }

  return {
    offer(job) {
      const offered = queue.offer(job)
      if (!offered.ok) return notQueued(job, offered.ahead)
      if (offered.replaced) tally.dropped('newer-frame')
      if (job.to.task !== undefined) tasks.add(keyOf(job.to.model, job.to.task))
      pump()
    },
    start() {
      started = true
      pump()
    },
    has: (model, task) => tasks.has(keyOf(model, task)),
    load: () => queue.size() + running,
    running: () => running,
    idle: () => {
      if (running === 0 && queue.size() === 0) return Promise.resolve()
      return new Promise((resolve) => waiting.push(resolve))
    },
    giveUp() {
      for (const job of queue.clear())
        if (job.kind === 'frame') tally.dropped('stopping')
        else refuse(job, busy('this board is shutting down', 10))
    },
  }
}
