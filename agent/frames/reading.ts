// Reads one frame message as a job for the queue, or says why it cannot be one.
import { parseFrame } from '../../broker/protocol/envelope.ts'
import type { ResultError } from '../../broker/protocol/messages.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import type { Job } from './work.ts'

export interface Unreadable {
  readonly error: ResultError
  /** The frame's own id, where it could be read. */
  readonly id?: string
}

interface Message {
  readonly model: string
  readonly task?: string
  readonly payload: Uint8Array
  readonly pkg: ModelPackage
}

/** Never throws on foreign bytes. */
export function readJob({ model, task, payload, pkg }: Message, payloadBytes: number, now: number): Job | Unreadable {
  const bytes = payload.byteLength
  if (bytes > payloadBytes)
    return { error: { code: 'too-large', message: `${bytes} bytes, and this board takes at most ${payloadBytes}` } }
  const parsed = parseFrame(payload)
  if (!parsed.ok) return { error: { code: codeOf(payload), message: parsed.message } }
  const { id, deadline, contentType, data } = parsed.frame
  const own = { ...(id !== undefined && { id }) }
  if (deadline !== undefined && deadline <= now)
    return { ...own, error: { code: 'expired', message: `the deadline was ${now - deadline} ms before it arrived` } }
  return {
    kind: task === undefined ? 'frame' : 'task',
    model,
    // MQTT 3.1.1 does not say who published: one stream per model.
    source: model,
    ...(deadline !== undefined && { deadline }),
    arrivedAt: now,
    bytes,
    to: { model, ...(task !== undefined && { task }), ...own },
    pkg,
    frame: { contentType, data },
  }
}

/** A CBOR map (major type 5) that is wrong is the envelope's fault, anything else the frame's. */
const codeOf = ([first]: Uint8Array): 'bad-envelope' | 'bad-frame' =>
  first !== undefined && first >> 5 === 5 ? 'bad-envelope' : 'bad-frame'
