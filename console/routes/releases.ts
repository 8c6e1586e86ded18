// /api/releases, /api/blobs and /api/publishers: how the operator lets publishers and their packages in. A release is
// offered, the answer names the files that are missing, they are handed in, and it is offered again.
import { createRoute, z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { MAX_RELEASE_BYTES } from '../registry/model-kind.ts'
import type { Publisher } from '../registry/publishers.ts'
import type { Offer } from '../registry/publishing.ts'
import { RegistryError } from '../registry/registry-error.ts'
import type { Kept } from '../registry/shelf.ts'
import { createRouter, json, refusals, refuse } from './answers.ts'
import { MissingFile, NewPublisher, PublisherView, ReleaseView } from './shapes.ts'

const STATUS_OF = {
  malformed: 400,
  'unknown-publisher': 409,
  'bad-signature': 400,
  'bad-package': 400,
  'version-taken': 409,
  'publisher-taken': 409,
  'not-expected': 409,
  'wrong-bytes': 400,
  'disk-full': 503,
  'unknown-release': 404,
  'unknown-publisher-id': 404,
  'nothing-before': 409,
  'too-many': 409,
  'wrong-state': 409,
} as const satisfies Record<RegistryError['code'], number>

/** A fault of the registry as the refusal it is; any other is a bug. */
export async function orRefusal<T>(
  c: Context,
  work: () => Promise<T>,
): Promise<T | ReturnType<typeof refuse<400 | 404 | 409 | 503>>> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    // What is left of the body is not read, so nothing else can come over this connection.
    if (c.req.method === 'PUT') c.header('connection', 'close')
    return refuse(c, STATUS_OF[error.code], error.code, error.message)
  }
}

const list = createRoute({
  method: 'get',
  path: '/releases',
  responses: {
    200: json(z.array(ReleaseView), 'Every release, by model, the highest version first.'),
    ...refusals(401, 403),
  },
})

const offer = createRoute({
  method: 'post',
  path: '/releases',
  request: { body: { content: { 'application/jose': { schema: z.string() } }, required: true } },
  responses: {
    200: json(ReleaseView, 'It is here already.'),
    201: json(ReleaseView, 'It was checked, and boards may be told to serve it.'),
    202: json(z.object({ missing: z.array(MissingFile) }), 'Hand these files in, then offer it again.'),
    ...refusals(400, 401, 403, 404, 409, 413, 503),
  },
})

const handIn = createRoute({
  method: 'put',
  path: '/blobs/{digest}',
  request: {
    params: z.object({ digest: z.string().regex(/^[0-9a-f]{64}$/, 'must be a sha256 in hex') }),
    body: {
      content: { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } },
      required: true,
    },
  },
  responses: { 204: { description: 'It is on the disk.' }, ...refusals(400, 401, 403, 404, 409, 503) },
})

const publishers = createRoute({
  method: 'get',
  path: '/publishers',
  responses: {
    200: json(z.array(PublisherView), 'Whose signature counts, and whose no longer does.'),
    ...refusals(401, 403),
  },
})

const trust = createRoute({
  method: 'post',
  path: '/publishers',
  request: {
    body: {
      content: {
        'application/json': {
          schema: NewPublisher,
        },
      },
      required: true,
    },
  },
  responses: { 201: json(PublisherView, 'Its releases may come in.'), ...refusals(400, 401, 403, 404, 409, 503) },
})

const revoke = createRoute({
  method: 'delete',
  path: '/publishers/{id}',
  request: { params: z.object({ id: z.string() }) },
  responses: {
    204: { description: 'Boards serve nothing of it any more, and its versions are no longer desired.' },
    ...refusals(400, 401, 403, 404, 409, 503),
  },
})

export interface ReleaseDesk {
  releases(): ReleaseView[]
  /** Rejects with RegistryError, like the others here. */
  offer(jws: string): Promise<Offer<Kept>>
  putBlob(sha256: string, source: AsyncIterable<Uint8Array>): Promise<void>
  publishers(): readonly Publisher[]
  trust(publisher: { id: string; key: string }): Promise<Publisher>
  revoke(id: string): Promise<void>
}

const iso = (at: number): string => new Date(at).toISOString()

export const publisherView = ({ id, key, addedAt, revokedAt }: Publisher): PublisherView => ({
  id,
  key,
  addedAt: iso(addedAt),
  ...(revokedAt !== undefined && { revokedAt: iso(revokedAt) }),
})

const nothing: AsyncIterable<Uint8Array> = (async function* () {})()

export const releaseRoutes = (desk: ReleaseDesk) =>
  createRouter()
    .openapi(list, (c) => c.json(desk.releases(), 200))
    .openapi(offer, (c) =>
      orRefusal(c, async () => {
        const jws = (await c.req.text()).trim()
        if (jws.length > MAX_RELEASE_BYTES) throw new RegistryError('malformed', 'A release is not as long as this.')
        const answer = await desk.offer(jws)
        if (answer.state === 'incomplete') return c.json({ missing: [...answer.missing] }, 202)
        const view = desk.releases().find(({ digest }) => digest === answer.kept.digest)
        if (view === undefined) throw new TypeError('a published release is not listed')
        return c.json(view, answer.isNew ? 201 : 200)
      }),
    )
    .openapi(handIn, (c) =>
      orRefusal(c, async () => {
        await desk.putBlob(c.req.valid('param').digest, c.req.raw.body ?? nothing)
        return c.body(null, 204)
      }),
    )
    .openapi(publishers, (c) => c.json(desk.publishers().map(publisherView), 200))
    .openapi(trust, (c) => orRefusal(c, async () => c.json(publisherView(await desk.trust(c.req.valid('json'))), 201)))
    .openapi(revoke, (c) =>
      orRefusal(c, async () => {
        await desk.revoke(c.req.valid('param').id)
        return c.body(null, 204)
      }),
    )
