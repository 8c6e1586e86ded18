// HTTP requests over node:http. Not fetch: loading it costs 17 MiB of resident memory for good. An import statement of
// node:http loads fetch too (its exports are read, WebSocket among them). Redirects are not followed: they come back as
// what they are.
import type { IncomingMessage } from 'node:http'

export interface HttpAnswer {
  readonly status: number
  /** Undefined when the answer was not JSON. */
  readonly json: unknown
}

export interface HttpQuestion {
  /** POST with this as JSON; GET without. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Ends the question and the answer. */
  readonly signal?: AbortSignal
  /** Longest silence; it covers the body too. */
  readonly silenceMs?: number
}

const SILENCE_MS = 15_000
/** A credential is a few KiB, a desired state a few dozen; whatever answers with more is no console. */
const ANSWER_BYTES = 256 * 1024

/** The answer once its head is there. Its body must be read or destroyed. Rejects with the fault of the network. */
export function openHttp(target: URL, { body, headers, signal, silenceMs = SILENCE_MS }: HttpQuestion = {}) {
  const { request } = process.getBuiltinModule(target.protocol === 'https:' ? 'node:https' : 'node:http')
  const text = body === undefined ? undefined : JSON.stringify(body)
  const posted =
    text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
  return new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request(target, {
      method: text === undefined ? 'GET' : 'POST',
      headers: { ...headers, ...posted },
      // Questions are minutes or weeks apart: no connection is kept open for the next.
      agent: false,
      timeout: silenceMs,
      ...(signal && { signal }),
    })
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${silenceMs / 1000} s`)))
    asked.on('error', reject)
    asked.on('response', resolve)
    asked.end(text)
  })
}

/** The whole answer as text. Rejects with the fault of the network, and when there are more bytes than expected. */
export async function askText(
  target: URL,
  question: HttpQuestion = {},
  limitBytes = ANSWER_BYTES,
): Promise<{ status: number; text: string }> {
  const response = await openHttp(target, question)
  return { status: response.statusCode ?? 0, text: await readText(response, limitBytes) }
}

/** GET, or POST when there is a body. Rejects with the fault of the network. */
export async function askHttp(target: URL, question?: HttpQuestion): Promise<HttpAnswer> {
  const { status, text } = await askText(target, question)
  try {
    return { status, json: JSON.parse(text) }
  } catch {
    return { status, json: undefined }
  }
}

/** ECONNREFUSED, ENOTFOUND, a timeout. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}

/** Not node:stream/consumers: it loads fetch as well. */
async function readText(response: IncomingMessage, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > limitBytes) throw new Error(`an answer of more than ${limitBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
