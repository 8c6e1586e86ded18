// The working parts of an agent, wired: frames in, answers and receipts out. No network of its own and no clock of its
// own, so that a test or a simulator can run it as it is.
import type { Logger } from 'pino'
import { formatTopic, ownTopics } from '../broker/protocol/topics.ts'
import type { InferenceHost } from '../models/runtime/host.ts'
import type { Clock } from './clock.ts'
import { type Answers, createAnswers, type Energy } from './frames/answers.ts'
import { createHand } from './frames/hand.ts'
import { createIntake, type Intake } from './frames/intake.ts'
import { createPace } from './frames/pace.ts'
import { createQueue, type QueueLimits, type Waiting } from './frames/queue.ts'
import type { Serving } from './frames/serving.ts'
import { createSuspects, type Suspects } from './frames/suspects.ts'
import { createTally, type Tally } from './frames/tally.ts'
import { createWork, type Job, type Work } from './frames/work.ts'
import type { Buffer } from './outbox/buffer.ts'
import { type Commits, createCommits } from './outbox/commits.ts'
import type { PoisonRow } from './outbox/poison.ts'
import { createReplies, type SendReply } from './outbox/replies.ts'
import { createOutbox, type Outbox } from './outbox.ts'

export interface Core {
  readonly intake: Intake
  readonly work: Work
  readonly commits: Commits
  readonly outbox: Outbox
  readonly tally: Tally
  readonly suspects: Pick<Suspects, 'count' | 'list' | 'pardon'>
}

export interface CoreOptions {
  readonly device: string
  readonly root: string
  /** With a console: receipts are made, and only its ack settles them. */
  readonly receipts: boolean
  readonly limits: QueueLimits & { readonly payloadBytes: number }
  readonly buffer: Buffer
  readonly host: Pick<InferenceHost, 'run'>
  /** Inference processes that take runs now. */
  readonly processes?: () => number
  /** Milliseconds of pause between runs; Infinity: no work until the board has cooled down. */
  readonly slow?: () => number
  readonly energy?: (cpuMs: number) => Energy | undefined
  readonly serving: Pick<Serving, 'find' | 'names' | 'fault'>
  /** Names the process and what ran in receipts, once the host has told what it runs on. */
  readonly origin: (provider: string | undefined) => number | undefined
  readonly publish: (topic: string, payload: string) => Promise<void>
  /** Where the link may speak MQTT 5. */
  readonly reply?: SendReply
  /** The inputs that are run no more, whenever that changes. */
  readonly poisonous?: (rows: readonly PoisonRow[]) => void
  /** A frame of a stream was run and answered. */
  readonly seen?: (job: Job) => void
  readonly clock: Clock
  /** This board's clock minus that of whoever writes deadlines; undefined while that is not known. */
  readonly skewMs?: () => number | undefined
  readonly newId: () => string
  readonly log: Logger
}

export function createCore(options: CoreOptions): Core {
  const { device, root, receipts, limits, buffer, clock, newId, log } = options
  const { now } = clock
  const tally = createTally()
  // Commits and outbox know each other: what is written is published, what was published is noted.
  const commits: Commits = createCommits({
    buffer,
    clock,
    log,
    inHouse: () => work.load(),
    onWritten: (_, made) => outbox.wake(made),
  })
  const outbox: Outbox = createOutbox({
    buffer,
    commits,
    clock,
    log,
    publish: options.publish,
    ...(options.reply && { replies: createReplies({ send: options.reply, own: ownTopics(device, root), log }) }),
    topicOf: ({ model, task }) =>
      formatTopic({ kind: 'device-out', device, model, ...(task !== null && { task }) }, root),
    ...(receipts && { receiptsTopic: formatTopic({ kind: 'receipts', device }, root) }),
  })
  const origin = receipts ? options.origin : () => undefined
  const answers: Answers = createAnswers({
    device,
    now,
    newId,
    tally,
    add: outbox.take,
    origin,
    energy: options.energy,
  })
  const { processes = () => 1, slow = () => 0, skewMs = () => 0, seen, host } = options
  const hand = createHand<Waiting>(processes)
  const pace = createPace(clock.elapsed, hand.nextDepth)
  const suspects = createSuspects({ table: buffer.poison, now, log, told: options.poisonous })
  // A deadline is met by an answer that is there by then: run, written to disk, told.
  const lead = (model: string): number => pace.lead(model) + commits.delayMs() + outbox.wayMs()
  const queue = createQueue<Job>(limits, { cost: pace.cost, lead })
  const work: Work = createWork({ queue, pace, hand, host, answers, tally, suspects, clock, slow, seen })
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
    clock,
    skewMs,
    log,
  })
  return { intake, work, commits, outbox, tally, suspects }
}
