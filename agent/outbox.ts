// Sends what the buffer owes whenever there is a connection, until it is acknowledged.
import type { Logger } from 'pino'
import type { Clock } from './clock.ts'
import { createBatchSender, RESEND_MS } from './outbox/batch-sender.ts'
import type { Buffer } from './outbox/buffer.ts'
import type { StoredRow } from './outbox/buffer-statements.ts'
import type { Commits } from './outbox/commits.ts'
import { createRecent } from './outbox/recent.ts'
import { createResultSender, type Line } from './outbox/result-sender.ts'

export interface Outbox {
  /** Something new was committed. */
  wake(): void
  /** The link is up: what is not known to have arrived goes out again. */
  connected(): void
  disconnected(): void
  /** The console's cumulative ack. */
  acknowledged(upTo: number): void
  /** A task id came again: its stored answer is published once more. */
  again(seq: number): void
  /** Resolves when no answer waits to be published; batches may still wait for their ack. */
  published(): Promise<void>
  close(): void
}

interface Options {
  readonly buffer: Buffer
  readonly commits: Pick<Commits, 'settle' | 'acknowledge'>
  readonly clock: Clock
  readonly log: Logger
  /** QoS 1; rejects when the link is down or goes down. */
  readonly publish: (topic: string, payload: string) => Promise<void>
  readonly topicOf: (row: StoredRow) => string
  /** Where batches go; absent without a console, and then PUBACK is the ack. */
  readonly receiptsTopic?: string
}

export function createOutbox({ buffer, commits, clock, log, publish, topicOf, receiptsTopic }: Options): Outbox {
  const arrived = createRecent(RESEND_MS)
  const line: Line = {
    up: false,
    publish,
    lost(error) {
      if (line.up) log.debug({ err: error }, 'publishing stopped until the next connection')
      line.up = false
    },
  }
  const results = createResultSender({ buffer, commits, clock, line, topicOf, arrived })
  const batches =
    receiptsTopic === undefined
      ? undefined
      : createBatchSender({ buffer, results, clock, line, topic: receiptsTopic, arrived })

  function wake(): void {
    results.pump()
    batches?.pump()
  }

  return {
    wake,
    connected() {
      line.up = true
      batches?.restart()
      wake()
    },
    disconnected() {
      line.up = false
    },
    acknowledged(upTo) {
      if (upTo > buffer.lastSeq()) {
        log.warn({ upTo, lastSeq: buffer.lastSeq() }, 'an ack names a batch that was never made')
        return
      }
      batches?.acknowledged(upTo)
      commits.acknowledge(upTo)
    },
    again: results.again,
    published: results.published,
    close: () => batches?.close(),
  }
}
