// The console's ear and voice on the bus: every topic and payload is parsed here, once, and handed to the trade that it
// concerns. A bad message is counted, logged once per sender, and disturbs nobody.
import type { Logger } from 'pino'
import { z } from 'zod'
import type { Link } from '../broker/link.ts'
import {
  type AckMessage,
  HeartbeatMessage,
  InfoMessage,
  ReplyMessage,
  ResultMessage,
  StatusMessage,
  VitalsMessage,
} from '../broker/protocol/messages.ts'
import { formatTopic, parseTopic, type Topic } from '../broker/protocol/topics.ts'
import { createComplaints } from './complaints.ts'

export type Send = (topic: Topic, payload: string | Uint8Array, options: { qos: 0 | 1 }) => Promise<void>

export interface Offered {
  readonly model: string
  readonly requestId?: string
  readonly kind: 'task' | 'frame'
  readonly payload: Uint8Array
}

/** What the trades do with what is heard. Each answers false when the sender is nobody it knows. */
export interface Hearers {
  status(device: string, state: StatusMessage, retained: boolean): boolean
  info(device: string, info: InfoMessage): boolean
  heartbeat(device: string, heartbeat: HeartbeatMessage): boolean
  vitals(device: string, vitals: VitalsMessage): boolean
  /** A board's answer to the command `id`, `length` characters of JSON. */
  reply(device: string, id: string, reply: ReplyMessage, length: number): boolean
  /** `task` undefined: an answer on a board's own stream, which the pool has no part in. */
  result(device: string, task: string | undefined, message: ResultMessage, topic: Topic): boolean | Promise<void>
  /** The acknowledgement to send back, if any. */
  receipts(device: string, jws: string): Promise<AckMessage | undefined>
  offer(requester: string, offered: Offered): Promise<void>
}

export interface BusOptions {
  readonly link: Pick<Link, 'onMessage' | 'publish' | 'connected'>
  readonly root: string
  readonly hearers: Hearers
  readonly log: Logger
}

const Json = (payload: Uint8Array): unknown => {
  try {
    return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'))
  } catch {
    return undefined
  }
}

/** A compact JWS has no business being larger than a payload of AWS IoT Core. */
const Jws = z.string().min(1).max(131_072)

export function createBus({ link, root, hearers, log }: BusOptions) {
  const complaints = createComplaints(log)
  let heard = 0

  const bad = (sender: string, what: string): void => complaints.add(sender, what)
  const strange = (sender: string): void => complaints.add(sender, 'unknown-sender')

  function parsed<T>(schema: z.ZodType<T>, value: unknown, sender: string, what: string): T | undefined {
    const result = schema.safeParse(value)
    if (!result.success) bad(sender, what)
    return result.data
  }

  async function receipts(device: string, payload: Buffer): Promise<void> {
    const jws = parsed(Jws, payload.toString('utf8'), device, 'bad-receipts')
    if (jws === undefined) return
    const ack = await hearers.receipts(device, jws)
    if (ack === undefined) return
    // Not awaited: a handler that waits for its own PUBACK could stop the reader that brings it. A lost ack is asked
    // for again by the board.
    const topic = formatTopic({ kind: 'ack', device }, root)
    void link.publish(topic, JSON.stringify(ack), { qos: 1 }).catch(() => complaints.add(device, 'ack-not-sent'))
  }

  function fromDevice(topic: Topic & { device: string }, payload: Buffer, retained: boolean): void | Promise<void> {
    const { device } = topic
    switch (topic.kind) {
      case 'status': {
        const state = parsed(StatusMessage, payload.toString('utf8'), device, 'bad-status')
        if (state !== undefined && !hearers.status(device, state, retained)) strange(device)
        return undefined
      }
      case 'info': {
        const info = parsed(InfoMessage, Json(payload), device, 'bad-info')
        if (info !== undefined && !hearers.info(device, info)) strange(device)
        return undefined
      }
      case 'heartbeat': {
        const heartbeat = parsed(HeartbeatMessage, Json(payload), device, 'bad-heartbeat')
        if (heartbeat !== undefined && !hearers.heartbeat(device, heartbeat)) strange(device)
        return undefined
      }
      case 'vitals': {
        const vitals = parsed(VitalsMessage, Json(payload), device, 'bad-vitals')
        if (vitals !== undefined && !hearers.vitals(device, vitals)) strange(device)
        return undefined
      }
      case 'device-out': {
        const message = parsed(ResultMessage, Json(payload), device, 'bad-result')
        if (message === undefined) return undefined
        const taken = hearers.result(device, topic.task, message, topic)
        if (taken === false) strange(device)
        return typeof taken === 'boolean' ? undefined : taken
      }
      case 'reply': {
        const reply = parsed(ReplyMessage, Json(payload), device, 'bad-reply')
        if (reply !== undefined && !hearers.reply(device, topic.id, reply, payload.byteLength)) strange(device)
        return undefined
      }
      case 'receipts':
        return receipts(device, payload)
      default:
        return undefined
    }
  }

  /** The promise holds back the broker's PUBACK, and so slows a sender who is faster than the database. */
  function hear(text: string, payload: Buffer, retained: boolean): void | Promise<void> {
    heard += 1
    const topic = parseTopic(text, root)
    if (topic === undefined) return bad('?', 'unknown-topic')
    if (topic.kind !== 'requester-in') return 'device' in topic ? fromDevice(topic, payload, retained) : undefined
    const { requester, model, task } = topic
    // A retained frame was meant for whoever listened then; it must not run again at every reconnect.
    if (retained) return bad(requester, 'retained-frame')
    return task === undefined
      ? hearers.offer(requester, { model, kind: 'frame', payload })
      : hearers.offer(requester, { model, requestId: task, kind: 'task', payload })
  }
  link.onMessage(hear)

  return {
    get connected(): boolean {
      return link.connected
    },
    stats: () => ({ heard, complaints: complaints.totals() }),
  }
}
export type Bus = ReturnType<typeof createBus>
