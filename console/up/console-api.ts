// The running console as commands call it: where it is, with which token, and what it says when it refuses.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

/** What a person can do something about; its message says what. */
export class ConsoleFault extends Error {
  override readonly name = 'ConsoleFault'
  readonly code: 'no-console' | 'unreachable' | 'refused' | 'unreadable' | 'not-written'

  constructor(code: ConsoleFault['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface ConsoleAddress {
  readonly url: string
  readonly token: string
}

const Ready = z.object({ console: z.object({ url: z.string(), token: z.string() }) })

/** What was given, and the rest from DATA/ready.json or DATA/keys. Rejects with ConsoleFault. */
export async function findConsole(given: { url?: string; token?: string; data: string }): Promise<ConsoleAddress> {
  const { url, token, data } = given
  if (url !== undefined && token !== undefined) return { url, token }
  const file = join(data, 'ready.json')
  const text = await readFile(file, 'utf8').catch(() => undefined)
  const ready = text === undefined ? undefined : Ready.safeParse(jsonOf(text)).data?.console
  // `bramble console` writes no ready.json, but its token lies here.
  const kept = await readFile(join(data, 'keys', 'console.token'), 'utf8').catch(() => undefined)
  const found = { url: url ?? ready?.url, token: token ?? ready?.token ?? kept?.trim() }
  if (found.url !== undefined && found.token !== undefined) return { url: found.url, token: found.token }
  throw new ConsoleFault(
    'no-console',
    `there is no ${file}: start the console, name its data folder with --data, or give --url and --token`,
  )
}

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const Refusal = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

export interface Asked {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as it is, with its media type. */
  readonly text?: { readonly type: string; readonly body: string }
  readonly bytes?: ReadableStream<Uint8Array>
  readonly length?: number
  /** The answer is taken as it is; otherwise it is JSON. */
  readonly answer?: 'text'
}

const bodyOf = ({ json, text, bytes, length }: Asked): { headers: Record<string, string>; init: RequestInit } => {
  if (json !== undefined)
    return { headers: { 'content-type': 'application/json' }, init: { body: JSON.stringify(json) } }
  if (text) return { headers: { 'content-type': text.type }, init: { body: text.body } }
  if (!bytes) return { headers: {}, init: {} }
  const headers = { 'content-type': 'application/octet-stream', 'content-length': String(length) }
  return { headers, init: { body: bytes, duplex: 'half' } as RequestInit }
}

export interface ConsoleApi {
  /** The status and the parsed answer. Rejects with ConsoleFault when the console refuses or is not there. */
  ask<T>(path: string, asked?: Asked): Promise<{ status: number; body: T }>
}

export function createConsoleApi({ url, token }: ConsoleAddress): ConsoleApi {
  async function send(path: string, asked: Asked): Promise<Response> {
    const { headers, init } = bodyOf(asked)
    const head = { ...headers, authorization: `Bearer ${token}` }
    try {
      return await fetch(new URL(path, url), { method: asked.method ?? 'GET', ...init, headers: head })
    } catch (cause) {
      const why = cause instanceof Error && cause.cause instanceof Error ? ` (${cause.cause.message})` : ''
      throw new ConsoleFault('unreachable', `the console at ${url} cannot be reached${why}: is it running?`, cause)
    }
  }

  return {
    async ask<T>(path: string, asked: Asked = {}) {
      const response = await send(path, asked)
      const text = await response.text()
      const json = jsonOf(text)
      if (response.ok) return { status: response.status, body: (asked.answer === 'text' ? text : json) as T }
      const message = Refusal.safeParse(json).data?.error.message ?? `it answered HTTP status ${response.status}`
      throw new ConsoleFault('refused', `the console at ${url} refused: ${message}`)
    },
  }
}
