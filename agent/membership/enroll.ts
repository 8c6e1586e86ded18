// Talks to the console's enrolment pages: a token and a proof of the key in, a credential out; renewed by signing a
// challenge. Plain HTTP(S), so that it works with any broker.
import { z } from 'zod'
import { BoardCredential, type StoredCredential } from './credential.ts'
import { askHttp, type HttpAnswer, type HttpQuestion, reasonOf } from './http.ts'
import type { Identity } from './identity.ts'

export class EnrolError extends Error {
  override readonly name = 'EnrolError'
  /** `refused`: the console said no, trying again will not help. `unreachable`, `bad-answer`: it may, later. */
  readonly code: 'bad-url' | 'refused' | 'unreachable' | 'bad-answer'
  constructor(code: EnrolError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface Console {
  /** Spends the token: this board belongs to the token's owner from now on. `name`: what it is to be called. */
  enrol(token: string, name?: string): Promise<StoredCredential>
  /** Ends at once, as `unreachable`, when aborted. */
  renew(old: StoredCredential, signal?: AbortSignal): Promise<StoredCredential>
}

const Challenge = z.object({ challenge: z.string().min(1).max(512) })
const Refusal = z.object({ error: z.object({ message: z.string() }) })

interface Options {
  /** http(s)://host:port of the console. */
  readonly url: string
  readonly identity: Identity
  readonly now: () => number
}

/** Throws EnrolError `bad-url`. */
export function createConsole({ url, identity, now }: Options): Console {
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
    throw new EnrolError('bad-url', `${url} is no address of a console: it looks like http://host:8080`)
  async function ask<T>(path: string, schema: z.ZodType<T>, question: HttpQuestion = {}): Promise<T> {
    const { status, json } = await send(new URL(path, url), question)
    if (status < 200 || status > 299) throw refusalOf(url, status, json)
    const parsed = schema.safeParse(json)
    if (parsed.success) return parsed.data
    throw new EnrolError(
      'bad-answer',
      `${url} answered something that is no console's answer: is this the right address?`,
      parsed.error,
    )
  }

  async function send(target: URL, question: HttpQuestion): Promise<HttpAnswer> {
    try {
      return await askHttp(target, question)
    } catch (error) {
      throw new EnrolError(
        'unreachable',
        `the console at ${url} cannot be reached (${reasonOf(error)}): is it running, and does this board have network?`,
        error,
      )
    }
  }

  function stored(credential: BoardCredential): StoredCredential {
    if (credential.device !== identity.device)
      throw new EnrolError(
        'bad-answer',
        `${url} answered for ${credential.device}, but this board is ${identity.device}`,
      )
    return { ...credential, console: url, obtainedAt: new Date(now()).toISOString() }
  }

  return {
    async enrol(token, name) {
      const proof = identity.prove(`bramble-enroll:${token}`)
      const body = { token, publicKey: identity.publicKey, proof, name }
      return stored(await ask('/enroll', BoardCredential, { body }))
    },
    async renew({ device }, signal) {
      const until = signal ? { signal } : {}
      const { challenge } = await ask('/enroll/challenge', Challenge, until)
      const proof = identity.prove(`bramble-renew:${device}:${challenge}`)
      return stored(await ask('/enroll/renew', BoardCredential, { body: { device, challenge, proof }, ...until }))
    },
  }
}

/** The console's own sentence where it gave one: it knows whether the token was wrong, spent or expired. */
function refusalOf(url: string, status: number, json: unknown): EnrolError {
  const said = Refusal.safeParse(json)
  const sentence = said.success ? said.data.error.message : `HTTP status ${status}`
  if (status >= 500 || status === 429)
    return new EnrolError('unreachable', `the console at ${url} cannot do it now: ${sentence}`)
  if (said.success) return new EnrolError('refused', `the console at ${url} refused: ${sentence}`)
  // A router, or a network that wants a login first.
  return new EnrolError('bad-answer', `what answers at ${url} is no console (${sentence}): is this the right address?`)
}
