// A requester that keeps its side of the promise: a task is sent again under the same id until it was accepted, and after
// every reconnect until it was answered.
import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { connectLink } from '../../broker/link.ts'
import { ResultMessage } from '../../broker/protocol/messages.ts'
import { filters, formatTopic, parseTopic } from '../../broker/protocol/topics.ts'
import { type Ready, ROOT } from './bramble.ts'

export const CHELSEA = readFileSync(`${ROOT}test/fixtures/frames/chelsea-640.jpg`)

/** Nobody may have been listening: a broker's PUBACK says nothing about the console. */
const RESEND_MS = 2_000

export interface Pipeline {
  /** Publishes a frame to the pool as task `id`. */
  send(id: string, model: string, frame?: Uint8Array): void
  /** Every answer that came, by task id: more than one where the console told it again. */
  readonly answers: ReadonlyMap<string, readonly ResultMessage[]>
  /** Resolves when `count` different tasks have an answer. */
  answered(count: number): Promise<void>
  close(): Promise<void>
}

export async function startPipeline({ requester, mqtt }: Ready): Promise<Pipeline> {
  const link = connectLink({
    url: mqtt.url,
    clientId: `pipeline-${process.pid}`,
    username: requester.id,
    password: requester.password,
    subscriptions: filters.requesterOutput(requester.id),
    log: pino({ level: 'silent' }),
    random: () => 0, // back at once: the faults under test are long enough
  })
  const open = new Map<string, { model: string; frame: Uint8Array }>()
  const accepted = new Set<string>()
  const answers = new Map<string, ResultMessage[]>()
  const waiting: { count: number; resolve: () => void }[] = []
  const publish = (id: string): void => {
    const task = open.get(id)
    if (!task) return
    const topic = formatTopic({ kind: 'requester-in', requester: requester.id, model: task.model, task: id })
    link.publish(topic, task.frame, { qos: 1 }).catch(() => undefined) // sent again at the next connect
  }
  link.onMessage((topic, payload) => {
    const parsed = parseTopic(topic)
    if (parsed?.kind === 'requester-ack') accepted.add(parsed.task)
    if (parsed?.kind !== 'requester-out' || parsed.task === undefined) return
    answers.set(parsed.task, [...(answers.get(parsed.task) ?? []), ResultMessage.parse(JSON.parse(payload.toString()))])
    open.delete(parsed.task)
    for (const { count, resolve } of waiting) if (answers.size >= count) resolve()
  })
  await new Promise<void>((resolve) => {
    link.onConnect(() => {
      resolve()
      for (const id of open.keys()) publish(id)
    })
  })
  const again = setInterval(() => {
    for (const id of open.keys()) if (!accepted.has(id)) publish(id)
  }, RESEND_MS)
  return {
    answers,
    send(id, model, frame = CHELSEA) {
      open.set(id, { model, frame })
      publish(id)
    },
    answered: (count) =>
      new Promise((resolve) => {
        if (answers.size >= count) resolve()
        else waiting.push({ count, resolve })
      }),
    close: () => {
      clearInterval(again)
      return link.close()
    },
  }
}
