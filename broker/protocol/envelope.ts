// What a pipeline may put into a frame's payload: raw media bytes, JSON, or a CBOR map {id?, deadline?, source?, ct?, data}.
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { isTopicLevel } from './topics.ts'

export const CONTENT_TYPES = ['image/jpeg', 'image/png', 'image/webp', 'audio/wav', 'application/json'] as const
export type ContentType = (typeof CONTENT_TYPES)[number] | 'application/octet-stream'

export interface Frame {
  /** The sender's own id for this frame, echoed in the answer. */
  readonly id?: string
  /** Epoch milliseconds after which nobody wants the answer. */
  readonly deadline?: number
  /** Who sends it: a camera, or whoever asks through the dispatcher. Boards share themselves fairly between sources. */
  readonly source?: string
  readonly contentType: ContentType
  readonly data: Uint8Array
}

export type ParsedFrame = { ok: true; frame: Frame } | { ok: false; message: string }

const Envelope = z.strictObject({
  id: z.string().refine(isTopicLevel, 'must match [A-Za-z0-9_-]{1,64}').optional(),
  deadline: z.number().int().positive().optional(),
  source: z.string().refine(isTopicLevel, 'must match [A-Za-z0-9_-]{1,64}').optional(),
  ct: z.enum([...CONTENT_TYPES, 'application/octet-stream']).optional(),
  data: z.instanceof(Uint8Array).refine((data) => data.byteLength > 0, 'is empty'),
})

const MAGIC: readonly (readonly [ContentType, (b: Uint8Array) => boolean])[] = [
  ['image/jpeg', (b) => b[0] === 0xff && b[1] === 0xd8 && b[2] === 0xff],
  ['image/png', (b) => b[0] === 0x89 && b[1] === 0x50 && b[2] === 0x4e && b[3] === 0x47],
  ['image/webp', (b) => ascii(b, 0, 4) === 'RIFF' && ascii(b, 8, 12) === 'WEBP'],
  ['audio/wav', (b) => ascii(b, 0, 4) === 'RIFF' && ascii(b, 8, 12) === 'WAVE'],
  ['application/json', (b) => /^\s*[{[]/.test(ascii(b, 0, 32))],
]

const ascii = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(from, Math.min(to, bytes.byteLength)))

/** The media type told by the first bytes, or undefined. */
export const sniff = (bytes: Uint8Array): ContentType | undefined => MAGIC.find(([, matches]) => matches(bytes))?.[0]

/** CBOR major type 5 (map) in the top three bits: no media type above begins like this. */
const isCborMap = (bytes: Uint8Array): boolean => bytes[0] !== undefined && bytes[0] >> 5 === 5

function parseEnvelope(payload: Uint8Array): ParsedFrame {
  let map: unknown
  try {
    map = decode(payload, { strict: true, allowIndefinite: false, rejectDuplicateMapKeys: true })
  } catch (error) {
    return { ok: false, message: `bad CBOR map: ${error instanceof Error ? error.message : String(error)}` }
  }
  const parsed = Envelope.safeParse(map)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    return { ok: false, message: `bad CBOR map: ${issue?.path.join('.') || 'map'} ${issue?.message ?? 'is wrong'}` }
  }
  const { id, deadline, source, ct, data } = parsed.data
  const contentType = ct ?? sniff(data) ?? 'application/octet-stream'
  return {
    ok: true,
    frame: {
      ...(id !== undefined && { id }),
      ...(deadline !== undefined && { deadline }),
      ...(source !== undefined && { source }),
      contentType,
      data,
    },
  }
}

/** A payload as a frame; `ok: false` carries one sentence for the sender. Never throws on foreign bytes. */
export function parseFrame(payload: Uint8Array): ParsedFrame {
  if (payload.byteLength === 0) return { ok: false, message: 'the payload is empty' }
  const contentType = sniff(payload)
  if (contentType !== undefined) return { ok: true, frame: { contentType, data: payload } }
  if (isCborMap(payload)) return parseEnvelope(payload)
  return {
    ok: false,
    message: 'the payload is neither JPEG, PNG, WebP, WAV, JSON nor a CBOR map {id?, deadline?, source?, ct?, data}',
  }
}

/** The CBOR map form of a frame, as the dispatcher and pipelines that want an id or a deadline send it. */
export function encodeFrame(frame: Frame): Uint8Array {
  const { id, deadline, source, contentType, data } = frame
  return encode({
    ...(id !== undefined && { id }),
    ...(deadline !== undefined && { deadline }),
    ...(source !== undefined && { source }),
    ct: contentType,
    data,
  })
}
