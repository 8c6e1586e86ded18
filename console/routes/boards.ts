// /boards: what a board should serve, and the signed lists and files of it. Files are named by their digest, so they may be
// kept for ever, fetched in pieces, and need not be trusted on the way.
import { createHash } from 'node:crypto'
import type { ReadStream } from 'node:fs'
import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { Desired } from '../../broker/protocol/packages.ts'
import { Arch } from '../../broker/protocol/software.ts'
import { type Conditions, type Slice, sliceOf } from '../registry/range.ts'
import { json, refusals, refuse } from './answers.ts'
import { type BoardEnv, type BoardGuardOptions, requireBoard } from './board-guard.ts'
import { createStreams } from './streams.ts'

export interface BoardDesk {
  readonly guard: BoardGuardOptions
  /** `arch`: what the board's own programs are for, where it asks for them too. */
  desired(device: string, arch: Arch | undefined): Omit<Desired, 'now'>
  release(digest: string): Promise<string | undefined>
  /** The size of a file that a release names and that is whole on the disk. */
  blobBytes(sha256: string): Promise<number | undefined>
  /** `last` is inclusive. */
  readBlob(sha256: string, first: number, last: number): ReadStream
  readonly now: () => number
}

const RETRY_AFTER_S = 5

/** The name is the digest of the content: it never changes. Private, since it was asked for with a credential. */
const IMMUTABLE = 'private, max-age=31536000, immutable'

const digestParam = { params: z.object({ digest: z.string() }) }
const board = [{ bearer: [] }]

const desired = createRoute({
  method: 'get',
  path: '/desired',
  security: board,
  request: { query: z.object({ arch: z.string().max(16).optional() }) },
  responses: {
    200: json(Desired, 'What this board should serve; without `models`: what is in its own folder.'),
    304: { description: 'It is what the ETag says.' },
    ...refusals(401, 429),
  },
})

const release = createRoute({
  method: 'get',
  path: '/releases/{digest}',
  security: board,
  request: digestParam,
  responses: {
    200: {
      content: { 'application/jose': { schema: z.string() } },
      description: 'The release, signed by its publisher.',
    },
    304: { description: 'It never changes.' },
    ...refusals(401, 404, 429),
  },
})

const blob = createRoute({
  method: 'get',
  path: '/blobs/{digest}',
  security: board,
  request: digestParam,
  responses: {
    200: {
      content: { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } },
      description: 'The file; one range of it may be asked for.',
    },
    206: { description: 'The range that was asked for.' },
    304: { description: 'It never changes.' },
    412: { description: 'If-Match names another file.' },
    416: { description: 'The range lies behind the end.' },
    ...refusals(401, 404, 429, 503),
  },
})

const isKnown = (c: Context, etag: string): boolean =>
  sliceOf({ ifNoneMatch: c.req.header('if-none-match') }, etag, 1).kind === 'unchanged'

const STATUS = { whole: 200, part: 206, unchanged: 304, mismatch: 412, unsatisfiable: 416 } as const

function headersOf(slice: Slice, etag: string, size: number): Record<string, string> {
  const headers = { etag, 'cache-control': IMMUTABLE, 'accept-ranges': 'bytes' }
  const type = { 'content-type': 'application/octet-stream' }
  switch (slice.kind) {
    case 'whole':
      return { ...headers, ...type, 'content-length': String(size) }
    case 'part': {
      const { first, last } = slice
      const range = { 'content-range': `bytes ${first}-${last}/${size}`, 'content-length': String(last - first + 1) }
      return { ...headers, ...type, ...range }
    }
    case 'unsatisfiable':
      return { ...headers, 'content-range': `bytes */${size}` }
    default:
      return headers
  }
}

/** Range means something for GET only (RFC 9110, 14.2). */
const conditionsOf = (c: Context): Conditions => ({
  ifMatch: c.req.header('if-match'),
  ifNoneMatch: c.req.header('if-none-match'),
  ifRange: c.req.header('if-range'),
  range: c.req.method === 'HEAD' ? undefined : c.req.header('range'),
})

export function boardRoutes(desk: BoardDesk) {
  const streams = createStreams(desk.now)

  async function sendBlob(c: Context<BoardEnv>, sha256: string): Promise<Response> {
    const size = await desk.blobBytes(sha256)
    if (size === undefined) return refuse(c, 404, 'unknown-blob', 'No release names this file.')
    const etag = `"${sha256}"`
    const slice = sliceOf(conditionsOf(c), etag, size)
    const [status, headers] = [STATUS[slice.kind], headersOf(slice, etag, size)]
    if ((slice.kind !== 'whole' && slice.kind !== 'part') || c.req.method === 'HEAD')
      return new Response(null, { status, headers })
    const device = c.get('device')
    const { first, last } = slice.kind === 'part' ? slice : { first: 0, last: size - 1 }
    const stream = streams.open(device, () => desk.readBlob(sha256, first, last))
    if (stream === undefined) {
      c.header('retry-after', String(RETRY_AFTER_S))
      return refuse(c, 503, 'busy', 'Too many downloads are under way; try again in a moment.')
    }
    return new Response(stream as ReadableStream<Uint8Array>, { status, headers })
  }

  const router = new OpenAPIHono<BoardEnv>()
  router.use('*', requireBoard(desk.guard))
  return router
    .openapi(desired, (c) => {
      const wish = desk.desired(c.get('device'), Arch.safeParse(c.req.valid('query').arch).data)
      const etag = `"${createHash('sha256').update(JSON.stringify(wish)).digest('base64url')}"`
      const headers = { etag, 'cache-control': 'private, no-cache', vary: 'authorization' }
      if (isKnown(c, etag)) return c.body(null, 304, headers)
      return c.json({ ...wish, now: desk.now() }, 200, headers)
    })
    .openapi(release, async (c) => {
      const { digest } = c.req.valid('param')
      const jws = await desk.release(digest)
      if (jws === undefined) return refuse(c, 404, 'unknown-release', 'There is no such release.')
      const headers = { etag: `"${digest}"`, 'cache-control': IMMUTABLE }
      if (isKnown(c, headers.etag)) return c.body(null, 304, headers)
      return c.body(jws, 200, { ...headers, 'content-type': 'application/jose' })
    })
    .openapi(blob, (c) => sendBlob(c, c.req.valid('param').digest))
}
