// Frames that the broker read past because of their size: their sender hears `too-large` where the answer would have been.
import type { Logger } from 'pino'
import { parseTopic, type Topic } from '../broker/protocol/topics.ts'
import type { Send } from './bus.ts'
import { refusal } from './market/round.ts'

export interface OversizeOptions {
  readonly root: string
  readonly frameBytes: number
  readonly send: Send
  readonly now: () => number
  readonly newId: () => string
  readonly log: Logger
}

const answerTo = (
  topic: Topic | undefined,
): Exclude<Extract<Topic, { model: string }>, { kind: 'device-image' }> | undefined => {
  if (topic?.kind === 'requester-in') return { ...topic, kind: 'requester-out' }
  return topic?.kind === 'device-in' ? { ...topic, kind: 'device-out' } : undefined
}

/** To be called with the topic and size of each publish that was acknowledged but not delivered. */
export function createOversize({ root, frameBytes, send, now, newId, log }: OversizeOptions) {
  return (text: string, bytes: number): void => {
    const to = answerTo(parseTopic(text, root))
    if (to === undefined) return
    const message = `the payload has about ${bytes} bytes; at most ${frameBytes} are taken`
    const answer = refusal(to.task ?? newId(), to.model, now(), { code: 'too-large', message })
    send(to, JSON.stringify(answer), { qos: 1 }).catch((error: unknown) => log.warn({ topic: text, error }, 'not told'))
  }
}
