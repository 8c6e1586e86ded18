// The working parts of an agent, wired: frames in, answers and receipts out. No network of its own and no clock of its
// own, so that a test or a simulator can run it as it is.
import type { Logger } from 'pino'
import { formatTopic } from '../broker/protocol/topics.ts'
import type { InferenceHost } from '../models/runtime/host.ts'
import type { Clock } from './clock.ts'
import { type Answers, createAnswers } from './frames/answers.ts'
import { createIntake, type Intake } from './frames/intake.ts'
import { createQueue, type QueueLimits } from './frames/queue.ts'
import type { Serving } from './frames/serving.ts'
import { createTally, type Tally } from './frames/tally.ts'
import { createWork, type Job, type Work } from './frames/work.ts'
import type { Buffer } from './outbox/buffer.ts'
import { type Commits, createCommits } from './outbox/commits.ts'
import { createOutbox, type Outbox } from './outbox.ts'

export interface Core {
  readonly intake: Intake
  readonly work: Work
  readonly commits: Commits
  readonly outbox: Outbox
  readonly tally: Tally
}

export interface CoreOptions {
  readonly device: string
  readonly root: string
  /** With a console: receipts are made, and only its ack settles them. */
  readonly receipts: boolean
  readonly limits: QueueLimits & { readonly payloadBytes: number }
  readonly buffer: Buffer
  readonly host: Pick<InferenceHost, 'run'>
  readonly serving: Pick<Serving, 'find' | 'names' | 'fault'>
  /** Names the process and runtime in receipts, once the host has told what it runs on. */
  readonly origin: () => number | undefined
  readonly publish: (topic: string, payload: string) => Promise<void>
  readonly clock: Clock
  readonly newId: () => string
  readonly log: Logger
}

export function createCore(options: CoreOptions): Core {
  const { device, root, receipts, limits, buffer, clock, newId, log } = options
  const { now } = clock
  const tally = createTally()
  // Commits and outbox know each other: what is written is published, what was published is noted.
  const commits: Commits = createCommits({ buffer, clock, log, onWritten: () => outbox.wake() })
  const outbox: Outbox = createOutbox({
    buffer,
    commits,
    clock,
    log,
    publish: options.publish,
    topicOf: ({ model, task }) =>
      formatTopic({ kind: 'device-out', device, model, ...(task !== null && { task }) }, root),
    ...(receipts && { receiptsTopic: formatTopic({ kind: 'receipts', device }, root) }),
  })
  const origin = receipts ? options.origin : () => undefined
  const answers: Answers = createAnswers({ device, now, newId, tally, add: commits.add, origin })
  const work = createWork({ queue: createQueue<Job>(limits), host: options.host, answers, tally, now })
  const intake = createIntake({
    root,
    payloadBytes: limits.payloadBytes,
    chain: buffer.chain,
    models: options.serving,
    work,
    answers,
    tally,
    buffer,
    commits,
    outbox,
    now,
    log,
  })
  return { intake, work, commits, outbox, tally }
}
