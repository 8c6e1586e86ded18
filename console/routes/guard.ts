// Who may call what: bearer tokens compared in constant time, and a limit on how often a stranger may ask.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Context, MiddlewareHandler } from 'hono'
import { type Caller, type Env, refuse } from './answers.ts'

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

export interface GuardOptions {
  readonly consoleToken: string
  /** The id of the requester an API key belongs to. */
  requesterOf(apiKey: string): Promise<string | undefined>
}

const BEARER = /^Bearer +(\S+)$/i

/** Lets the console's token and requesters' keys through and says who it was; 401 otherwise. */
export function requireBearer({ consoleToken, requesterOf }: GuardOptions): MiddlewareHandler<Env> {
  const expected = digest(consoleToken)
  const callerOf = async (token: string): Promise<Caller | undefined> => {
    // Hashes have one length, so the comparison tells nothing about the token's.
    if (timingSafeEqual(digest(token), expected)) return { role: 'console' }
    const id = await requesterOf(token)
    return id === undefined ? undefined : { role: 'requester', id }
  }
  return async (c, next) => {
    const token = BEARER.exec(c.req.header('authorization') ?? '')?.[1]
    const caller = token === undefined ? undefined : await callerOf(token)
    if (caller === undefined) {
      c.header('www-authenticate', 'Bearer')
      return refuse(
        c,
        401,
        'unauthorized',
        'Send the header "Authorization: Bearer TOKEN"; the token is in ready.json.',
      )
    }
    c.set('caller', caller)
    return next()
  }
}

/** Refuses requesters: what follows is the operator's. */
export const operatorOnly: MiddlewareHandler<Env> = async (c, next) =>
  c.get('caller').role === 'console'
    ? next()
    : refuse(c, 403, 'forbidden', 'An API key reaches /api/tasks only; use the console token.')

export interface RateLimitOptions {
  readonly perMinute: number
  readonly now: () => number
  addressOf(c: Context): string
}

/** A fixed window of one minute per address; enough against guessing, and its memory is one small map per minute. */
export function limitRate({ perMinute, now, addressOf }: RateLimitOptions): MiddlewareHandler<Env> {
  let window = -1
  let seen = new Map<string, number>()
  return async (c, next) => {
    const minute = Math.floor(now() / 60_000)
    if (minute !== window) {
      window = minute
      seen = new Map()
    }
    const address = addressOf(c)
    const count = (seen.get(address) ?? 0) + 1
    seen.set(address, count)
    if (count <= perMinute) return next()
    c.header('retry-after', String(60 - Math.floor((now() % 60_000) / 1000)))
    return refuse(c, 429, 'too-many-requests', `At most ${perMinute} requests a minute from one address.`)
  }
}
