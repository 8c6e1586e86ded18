// Reads one frame message as a job for the queue, or says why it cannot be one.
import type { MessageMeta } from '../../broker/link/terms.ts'
import {
  CONTENT_TYPES,
  type ContentType,
  type Frame,
  type ParsedFrame,
  parseFrame,
} from '../../broker/protocol/envelope.ts'
import type { ResultError } from '../../broker/protocol/messages.ts'
import { isTopicLevel } from '../../broker/protocol/topics.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import type { Clock } from '../clock.ts'
import type { Address } from './answers.ts'
import type { Job } from './work.ts'

export interface Unreadable {
  readonly error: ResultError
  readonly to: Address
}

interface Message {
  readonly model: string
  readonly task?: string
  readonly payload: Uint8Array
  readonly pkg: ModelPackage
  readonly meta?: MessageMeta | undefined
}

/** Where the answer to a message goes, before anything of its payload is known. */
export const addressOf = ({ model, task, meta }: Pick<Message, 'model' | 'task' | 'meta'>): Address => ({
  model,
  ...(task !== undefined && { task }),
  ...(meta?.responseTopic !== undefined && { responseTopic: meta.responseTopic }),
  ...(meta?.correlationData !== undefined && { correlationData: meta.correlationData }),
})

/**
 * Never throws on foreign bytes. `skewMs` is how far this board's clock is ahead of the one by which deadlines in envelopes are
 * written; undefined while that is not known.
 */
export function readJob(
  message: Message,
  payloadBytes: number,
  { now, elapsed }: Pick<Clock, 'now' | 'elapsed'>,
  skewMs: number | undefined,
): Job | Unreadable {
  const { model, task, payload, pkg, meta } = message
  const bytes = payload.byteLength
  const to = addressOf(message)
  if (bytes > payloadBytes)
    return { to, error: { code: 'too-large', message: `${bytes} bytes, and this board takes at most ${payloadBytes}` } }
  const parsed = parse(payload, meta)
  if (!parsed.ok) return { to, error: { code: codeOf(payload), message: parsed.message } }
  const { id, source, contentType, data } = parsed.frame
  const named = { ...to, ...(id !== undefined && { id }) }
  const leftMs = Math.min(leftOf(parsed.frame, now(), skewMs), (meta?.expiresAt ?? Number.POSITIVE_INFINITY) - now())
  if (leftMs <= 0)
    return { to: named, error: { code: 'expired', message: `the deadline was ${-leftMs} ms before it arrived` } }
  const arrivedAt = elapsed()
  return {
    kind: task === undefined ? 'frame' : 'task',
    model,
    source: source ?? sourceOf(meta) ?? model,
    // The wall clock may be set while it waits, so only what was left of its time at arrival counts.
    ...(leftMs !== Number.POSITIVE_INFINITY && { deadline: arrivedAt + leftMs }),
    arrivedAt,
    bytes,
    to: named,
    pkg,
    frame: { contentType, data },
  }
}

/** A deadline that seems to be over may be so by a wrong clock: while that may be, the frame is run. */
function leftOf({ deadline }: Pick<Frame, 'deadline'>, now: number, skewMs: number | undefined): number {
  const leftMs = (deadline ?? Number.POSITIVE_INFINITY) - now + (skewMs ?? 0)
  return leftMs <= 0 && skewMs === undefined ? Number.POSITIVE_INFINITY : leftMs
}

/** MQTT 3.1.1 does not say who published: then all who name no source are one, per model. */
const sourceOf = (meta: MessageMeta | undefined): string | undefined =>
  meta?.source !== undefined && isTopicLevel(meta.source) ? meta.source : undefined

const isContentType = (type: string): type is ContentType =>
  type === 'application/octet-stream' || CONTENT_TYPES.some((known) => known === type)

/** The first bytes say what it is; where they do not, the message's content type may. */
function parse(payload: Uint8Array, meta: MessageMeta | undefined): ParsedFrame {
  const parsed = parseFrame(payload)
  const type = meta?.contentType
  if (parsed.ok || type === undefined || !isContentType(type) || payload.byteLength === 0) return parsed
  return { ok: true, frame: { contentType: type, data: payload } }
}

/** A CBOR map (major type 5) that is wrong is the envelope's fault, anything else the frame's. */
const codeOf = ([first]: Uint8Array): 'bad-envelope' | 'bad-frame' =>
  first !== undefined && first >> 5 === 5 ? 'bad-envelope' : 'bad-frame'
