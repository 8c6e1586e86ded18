// Sends what the buffer owes whenever there is a connection, until it is acknowledged.
import type { Logger } from 'pino'
import type { Clock } from './clock.ts'
import { type BatchSender, createBatchSender, RESEND_MS } from './outbox/batch-sender.ts'
import type { Buffer } from './outbox/buffer.ts'
import type { StoredRow } from './outbox/buffer-statements.ts'
import type { Answer } from './outbox/buffer-write.ts'
import type { Commits } from './outbox/commits.ts'
import { createRecent } from './outbox/recent.ts'
import { refusalOf } from './outbox/refused.ts'
import type { Replies, Reply } from './outbox/replies.ts'
import { createResultSender, type Line } from './outbox/result-sender.ts'

export interface Outbox {
  /** An answer, to be kept and published; what need not be kept is written to the card only if it cannot be sent now. */
  take(answer: Answer): void
  /** Something was committed: `made` are the new answers. */
  wake(made?: readonly Answer[]): void
  /** The link is up: what is not known to have arrived goes out again. */
  connected(): void
  disconnected(): void
  /** What need not be kept can be sent. */
  isUp(): boolean
  /** The console's cumulative ack. */
  acknowledged(upTo: number): void
  /** It has another history of the chain: this board's card was set back to an older state. */
  forked(): void
  /** A task id came again: its stored answer is published once more, also where this sender listens. */
  again(seq: number, reply?: Reply): void
  /** How long an answer is on its way to the broker, at most, as things are. */
  wayMs(): number
  /** Resolves when no answer waits to be published; batches may still wait for their ack. */
  published(): Promise<void>
  close(): void
}

/** A publish that fails usually means that the connection is gone. Where no new one follows, it was refused by itself. */
const RETRY_MS = 5_000

interface Options {
  readonly buffer: Buffer
  readonly commits: Pick<Commits, 'add' | 'settle' | 'acknowledge' | 'failing' | 'unsigned'>
  readonly clock: Clock
  readonly log: Logger
  /** QoS 1; rejects when the link is down or goes down. */
  readonly publish: (topic: string, payload: string) => Promise<void>
  readonly topicOf: (row: Pick<StoredRow, 'model' | 'task'>) => string
  readonly replies?: Replies
  /** Where batches go; absent without a console, and then PUBACK is the ack. */
  readonly receiptsTopic?: string
}

export function createOutbox(options: Options): Outbox {
  const { buffer, commits, clock, log, publish, replies, topicOf, receiptsTopic } = options
  const arrived = createRecent(RESEND_MS)
  let connected = false
  let stopRetry: (() => void) | undefined
  const line: Line = {
    up: false,
    publish,
    lost(error) {
      if (!line.up) return
      log.debug({ err: error }, 'publishing stopped for a while')
      line.up = false
      stopRetry = clock.after(RETRY_MS, resume)
    },
  }
  const results = createResultSender({ buffer, commits, clock, line, topicOf, arrived, log })
  const batches =
    receiptsTopic === undefined
      ? undefined
      : createBatchSender({ buffer, results, clock, line, topic: receiptsTopic, arrived })

  let lost = 0
  /** Where nothing can be written, what speaks only about this moment ends here. */
  function keep(answer: Answer): void {
    const hasRoom = !commits.failing() && !buffer.full()
    if (hasRoom || !isFleeting(answer)) commits.add(answer)
    else if (lost++ === 0) log.warn('samples and refusals are lost: there is no connection, and no room to keep them')
  }

  /** It was sent without being kept. What the broker refuses would only fill the disk. */
  function notSent(answer: Answer, error: unknown): void {
    if (refusalOf(error)) log.warn({ err: error }, 'the broker refuses an answer that is not kept: it is lost')
    else keep(answer)
  }

  function wake(made: readonly Answer[] = []): void {
    for (const answer of made) replies?.send(answer)
    results.pump()
    batches?.pump()
  }

  function resume(): void {
    stopRetry?.()
    if (!connected) return
    line.up = true
    batches?.restart()
    wake()
  }

  const forgets = createForgetfulness(buffer, clock)
  const renew = createRenewing(options, batches)

  return {
    take(answer) {
      const topic = topicOf({ model: answer.model, task: answer.task ?? null })
      const isSent = isFleeting(answer) && results.trySend(topic, answer.payload, (error) => notSent(answer, error))
      if (isSent) replies?.send(answer)
      else keep(answer)
    },
    wake,
    connected() {
      connected = true
      lost = 0
      resume()
    },
    disconnected() {
      connected = false
      line.up = false
      stopRetry?.()
    },
    isUp: () => line.up,
    acknowledged(upTo) {
      if (upTo > buffer.lastSeq()) {
        log.warn({ upTo, lastSeq: buffer.lastSeq() }, 'an ack names a batch that was never made')
        return
      }
      if (forgets(upTo)) return renew('the console has lost receipts that it had acknowledged (an old backup?)')
      batches?.acknowledged(upTo)
      commits.acknowledge(upTo)
    },
    forked: () =>
      renew('the console has newer receipts of this board than the board itself (an old copy of its card?)'),
    again(seq, reply) {
      results.again(seq)
      if (reply) replies?.send(reply)
    },
    wayMs: results.wayMs,
    published: results.published,
    close() {
      stopRetry?.()
      results.close()
      batches?.close()
    },
  }
}

/** Begins a new chain. */
const createRenewing =
  ({ buffer, commits, log }: Options, batches: BatchSender | undefined) =>
  (why: string): void => {
    log.error(`${why}: a new chain of receipts begins`)
    buffer.renew()
    batches?.renewed()
    commits.unsigned()
  }

/** An ack that names less than what is gone here may be late; for this long nothing better must have come. */
const LATE_ACK_MS = 60_000

/**
 * True once the console is known to lack batches that it had acknowledged and that are not sent any more: it waits for them, and
 * would take nothing that comes after them, for ever.
 */
function createForgetfulness(buffer: Pick<Buffer, 'nextBatch'>, clock: Pick<Clock, 'elapsed'>) {
  let best = 0
  let since: number | undefined
  return (upTo: number): boolean => {
    const gone = (buffer.nextBatch(0)?.seq ?? 1) - 1
    if (upTo >= Math.max(best, gone)) {
      best = upTo
      since = undefined
      return false
    }
    since ??= clock.elapsed()
    if (clock.elapsed() - since < LATE_ACK_MS) return false
    best = 0
    since = undefined
    return true
  }
}

/**
 * A sample, or a refusal that speaks about this moment: nobody was promised it, and a camera's answers would wear a card out
 * within months (12 KiB each at 20 a second is 21 GB a day). What earns a receipt or is remembered is always kept first.
 */
const isFleeting = ({ kind, remember }: Answer): boolean => kind !== 'task' && !remember
