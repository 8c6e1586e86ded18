// Who may ask as a board: the bearer of that board's own credential, as long as the board is enrolled. No other token counts.
import { createHash } from 'node:crypto'
import type { Context, MiddlewareHandler } from 'hono'
import type { Verify } from '../../broker/jwt.ts'
import { refuse } from './answers.ts'

export interface BoardEnv {
  Variables: { device: string }
}

export interface BoardGuardOptions {
  readonly verify: Verify
  readonly isBoard: (device: string) => boolean
  readonly now: () => number
  addressOf(c: Context): string
  /** Of one board, and of wrong tokens from one address. */
  readonly limits: { readonly perMinute: number; readonly failuresPerMinute: number }
}

const BEARER = /^Bearer +([A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+)$/i
/** A credential has about 2 KiB; what is longer is not worth a look. */
const MAX_TOKEN = 8 * 1024
/** Boards ask with the same token for weeks: one signature check per token is enough. */
const MAX_REMEMBERED = 4_096

interface Known {
  readonly device: string
  readonly expiresAt: number
}

/** Who the token says it is; the signature is checked afterwards, against this very name. */
function subjectOf(claims: string): string | undefined {
  try {
    const { sub } = JSON.parse(Buffer.from(claims, 'base64url').toString('utf8')) as { sub?: unknown }
    return typeof sub === 'string' ? sub : undefined
  } catch {
    return undefined
  }
}

/** Counts by name within the present minute. */
function createMinute(now: () => number): (name: string) => number {
  let minute = -1
  let counts = new Map<string, number>()
  return (name) => {
    const present = Math.floor(now() / 60_000)
    if (present !== minute) [minute, counts] = [present, new Map()]
    const count = (counts.get(name) ?? 0) + 1
    counts.set(name, count)
    return count
  }
}

export function requireBoard(options: BoardGuardOptions): MiddlewareHandler<BoardEnv> {
  const { verify, isBoard, now, limits } = options
  const requests = createMinute(now)
  const failures = createMinute(now)
  /** By the token's hash, so that no credential lies in memory longer than its request. */
  const known = new Map<string, Known>()

  async function holderOf(c: Context): Promise<Known | 'too-many' | undefined> {
    const header = c.req.header('authorization') ?? ''
    const [, token, claims] = header.length > MAX_TOKEN ? [] : (BEARER.exec(header) ?? [])
    const name = createHash('sha256')
      .update(token ?? '')
      .digest('base64url')
    const held = known.get(name)
    if (held && held.expiresAt > now()) return held
    known.delete(name)
    const sub = claims === undefined ? undefined : subjectOf(claims)
    const principal = token === undefined || sub === undefined ? undefined : await verify(sub, token)
    if (principal?.role !== 'device' || principal.expiresAt === undefined)
      return failures(options.addressOf(c)) > limits.failuresPerMinute ? 'too-many' : undefined
    const [oldest] = known.keys()
    if (known.size >= MAX_REMEMBERED && oldest !== undefined) known.delete(oldest)
    const fresh = { device: principal.id, expiresAt: principal.expiresAt }
    known.set(name, fresh)
    return fresh
  }

  const tooMany = (c: Context, message: string) => {
    c.header('retry-after', String(60 - Math.floor((now() % 60_000) / 1000)))
    return refuse(c, 429, 'too-many-requests', message)
  }

  return async (c, next) => {
    const holder = await holderOf(c)
    if (holder === 'too-many') return tooMany(c, 'Too many wrong credentials from this address.')
    // A removed board's credential may still be valid: the table decides, at every request.
    if (holder === undefined || !isBoard(holder.device)) {
      c.header('www-authenticate', 'Bearer')
      return refuse(c, 401, 'unauthorized', "Only an enrolled board's own credential is taken here.")
    }
    if (requests(holder.device) > limits.perMinute)
      return tooMany(c, `At most ${limits.perMinute} requests a minute from one board.`)
    c.set('device', holder.device)
    return next()
  }
}
