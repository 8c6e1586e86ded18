// Incoming messages of a link: handlers run side by side, acknowledgements leave in the order of arrival (MQTT-4.6.0-2).
import type { Logger } from 'pino'
import type { MessageMeta } from './terms.ts'

export type MessageHandler = (
  topic: string,
  payload: Buffer,
  retain: boolean,
  meta: MessageMeta,
) => void | Promise<void>

export interface Incoming {
  readonly topic: string
  readonly payload: Buffer
  readonly retain: boolean
  readonly meta: MessageMeta
  /** Writes the PUBACK; absent for QoS 0. */
  readonly acknowledge?: () => void
  /** Lets the next packet be read. */
  readonly readOn: () => void
}

export interface Inbox {
  receive(message: Incoming): void
  stats(): { readonly pending: number; readonly failed: number }
}

export interface InboxLimits {
  /** Handlers that run at once; later messages wait for one to end. */
  readonly inboxWindow: number
  /** Bytes of waiting messages above which nothing more is read, so that the broker and the senders feel it. */
  readonly inboxBytes: number
}

/**
 * Messages beyond the window are kept rather than left on the wire, because the PUBACKs of our own publishes come on the same
 * wire: handlers that publish and wait would otherwise wait for themselves.
 * A handler that rejects is logged and counted, and its message is acknowledged all the same: sessions are clean, so no
 * broker would deliver it again, and an unanswered message would only hold a place in the broker's window for ever.
 */
export function createInbox(handle: MessageHandler, log: Logger, limits: InboxLimits): Inbox {
  const queue: { readonly message: Incoming; readonly done: () => void }[] = []
  let queuedBytes = 0
  let running = 0
  let failed = 0
  let held: (() => void) | undefined
  let answered: Promise<void> = Promise.resolve()

  async function run({ topic, payload, retain, meta }: Incoming, done: () => void): Promise<void> {
    running += 1
    try {
      await handle(topic, payload, retain, meta)
    } catch (error) {
      failed += 1
      log.error({ topic, bytes: payload.byteLength, err: error }, 'a message could not be handled')
    }
    running -= 1
    done()
    next()
  }

  function next(): void {
    const first = running < limits.inboxWindow ? queue.shift() : undefined
    if (!first) return
    queuedBytes -= first.message.payload.byteLength
    void run(first.message, first.done)
    if (!held || queuedBytes > limits.inboxBytes) return
    const readOn = held
    held = undefined
    readOn()
  }

  async function inOrder(before: Promise<void>, handled: Promise<void>, acknowledge: () => void): Promise<void> {
    await handled
    await before
    acknowledge()
  }

  return {
    receive(message) {
      const { promise: handled, resolve: done } = Promise.withResolvers<void>()
      if (message.acknowledge) answered = inOrder(answered, handled, message.acknowledge)
      queuedBytes += message.payload.byteLength
      queue.push({ message, done })
      next()
      if (queuedBytes > limits.inboxBytes) held = message.readOn
      else message.readOn()
    },
    stats: () => ({ pending: running + queue.length, failed }),
  }
}
