// One JSON request over node:http. Not fetch: loading it costs 17 MiB of resident memory for good, and a board renews its
// credential once in weeks. An import statement of node:http loads fetch too (its exports are read, WebSocket among them).
import type { IncomingMessage } from 'node:http'

export interface HttpAnswer {
  readonly status: number
  /** Undefined when the answer was not JSON. */
  readonly json: unknown
}

const TIMEOUT_MS = 15_000
/** A credential is a few KiB; whatever answers with more is no console. */
const ANSWER_BYTES = 256 * 1024

/** GET, or POST when there is a body. Rejects with the fault of the network. */
export function askHttp(target: URL, body?: unknown): Promise<HttpAnswer> {
  const { request } = process.getBuiltinModule(target.protocol === 'https:' ? 'node:https' : 'node:http')
  const text = body === undefined ? undefined : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const asked = request(target, {
      method: text === undefined ? 'GET' : 'POST',
      headers:
        text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      // One question in weeks: no connection is kept open for the next.
      agent: false,
      timeout: TIMEOUT_MS,
    })
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)))
    asked.on('error', reject)
    asked.on('response', (response) => {
      const { statusCode: status = 0 } = response
      readJson(response).then((json) => resolve({ status, json }), reject)
    })
    asked.end(text)
  })
}

/** Not node:stream/consumers: it loads fetch as well. */
async function readJson(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > ANSWER_BYTES) throw new Error(`an answer of more than ${ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    return undefined
  }
}
