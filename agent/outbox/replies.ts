// Answers told a second time, on the response topic that an MQTT 5 sender named. The board's own topic stays the record: this
// is a convenience, sent once, kept nowhere, and lost with the connection.
import type { Logger } from 'pino'
import type { Answer } from './buffer-write.ts'

export type Reply = Pick<Answer, 'payload' | 'responseTopic' | 'correlationData'>

/** QoS 1; rejects when the link is down, goes down, or the broker refuses. */
export type SendReply = (topic: string, payload: string, correlationData?: Uint8Array) => Promise<void>

export interface Replies {
  send(reply: Reply): void
}

interface Options {
  readonly send: SendReply
  /** Where this board speaks for itself: nobody may have it say a result there. */
  readonly own: readonly string[]
  readonly log: Logger
}

/** Replies on their way at once; a broker that takes none must not fill a small board's memory. */
const MAX_FLYING = 256

export function createReplies({ send, own, log }: Options): Replies {
  let flying = 0
  let lost = 0

  async function launch(topic: string, payload: string, correlationData?: Uint8Array): Promise<void> {
    flying += 1
    try {
      await send(topic, payload, correlationData)
    } catch (error) {
      log.debug({ topic, err: error }, 'a reply was not sent')
    }
    flying -= 1
  }

  return {
    send({ payload, responseTopic: topic, correlationData }) {
      if (topic === undefined || own.some((prefix) => topic.startsWith(prefix))) return
      if (flying < MAX_FLYING) void launch(topic, payload, correlationData)
      else if (lost++ === 0) log.warn('replies are lost: the broker takes them more slowly than they are made')
    },
  }
}
