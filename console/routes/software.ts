// /api/software: versions of the agent itself, whose signature counts for them, and their way to the fleet.
import { createRoute, z } from '@hono/zod-openapi'
import type { Publisher } from '../registry/publishers.ts'
import type { Offer } from '../registry/publishing.ts'
import type { KeptSoftware } from '../software/releases.ts'
import type { Rollout } from '../software/rings.ts'
import { createRouter, json, refusals } from './answers.ts'
import { orRefusal, publisherView } from './releases.ts'
import { MissingFile, NewPublisher, PublisherView, SoftwareView } from './shapes.ts'

const faults = refusals(400, 401, 403, 404, 409, 413, 503)
const jsonBody = <S>(schema: S) => ({ content: { 'application/json': { schema } }, required: true as const })
const Name = z.object({ version: z.string(), arch: z.string() })
const Moved = z.object({ version: z.string(), state: z.string() })
const Start = z.object({
  version: z.string().min(1).max(64),
  canaries: z.array(z.string().max(64)).min(1).max(1000).optional().openapi({
    description: 'Boards that get it first; drawn by lot from those that are online when absent.',
  }),
})

const read = createRoute({
  method: 'get',
  path: '/',
  responses: { 200: json(SoftwareView, 'Releases, the newest rollout, and what every board runs.'), ...faults },
})
const offer = createRoute({
  method: 'post',
  path: '/releases',
  request: { body: { content: { 'application/jose': { schema: z.string() } }, required: true } },
  responses: {
    200: json(Name, 'It is here already.'),
    201: json(Name, 'It may be rolled out.'),
    202: json(z.object({ missing: z.array(MissingFile) }), 'Hand these in (PUT /api/blobs/…), then offer it again.'),
    ...faults,
  },
})
const trust = createRoute({
  method: 'post',
  path: '/publishers',
  request: {
    body: jsonBody(NewPublisher),
  },
  responses: { 201: json(PublisherView, 'Its releases may come in. Boards have a list of their own.'), ...faults },
})
const revoke = createRoute({
  method: 'delete',
  path: '/publishers/{id}',
  request: { params: z.object({ id: z.string() }) },
  responses: { 204: { description: 'No board is told to run anything of it.' }, ...faults },
})
const start = createRoute({
  method: 'post',
  path: '/rollouts',
  request: { body: jsonBody(Start) },
  responses: { 201: json(Moved, 'It has begun with the first ring.'), ...faults },
})
const move = <P extends string>(path: P, says: string) =>
  createRoute({ method: 'post', path: `/rollouts/${path}` as const, responses: { 200: json(Moved, says), ...faults } })
const stop = move('stop', 'Boards that have not switched are not told to any more.')
const resume = move('resume', 'It goes on where it was.')
const back = move('rollback', 'Boards go back to the version before.')

export interface SoftwareDesk {
  software(): Promise<SoftwareView>
  /** Rejects with RegistryError, like the others here. */
  offer(jws: string): Promise<Offer<KeptSoftware>>
  trust(publisher: { id: string; key: string }): Promise<Publisher>
  revoke(id: string): Promise<void>
  start(version: string, canaries?: readonly string[]): Promise<Rollout>
  stop(): Promise<Rollout>
  resume(): Promise<Rollout>
  rollBack(): Promise<Rollout>
}

const moved = ({ version, state }: Rollout) => ({ version, state })

export const softwareRoutes = (desk: SoftwareDesk) =>
  createRouter()
    .openapi(read, async (c) => c.json(await desk.software(), 200))
    .openapi(offer, (c) =>
      orRefusal(c, async () => {
        const answer = await desk.offer((await c.req.text()).trim())
        if (answer.state === 'incomplete') return c.json({ missing: [...answer.missing] }, 202)
        const { version, arch } = answer.kept.release
        return c.json({ version, arch }, answer.isNew ? 201 : 200)
      }),
    )
    .openapi(trust, (c) => orRefusal(c, async () => c.json(publisherView(await desk.trust(c.req.valid('json'))), 201)))
    .openapi(revoke, (c) =>
      orRefusal(c, async () => {
        await desk.revoke(c.req.valid('param').id)
        return c.body(null, 204)
      }),
    )
    .openapi(start, (c) =>
      orRefusal(c, async () => {
        const { version, canaries } = c.req.valid('json')
        return c.json(moved(await desk.start(version, canaries)), 201)
      }),
    )
    .openapi(stop, (c) => orRefusal(c, async () => c.json(moved(await desk.stop()), 200)))
    .openapi(resume, (c) => orRefusal(c, async () => c.json(moved(await desk.resume()), 200)))
    .openapi(back, (c) => orRefusal(c, async () => c.json(moved(await desk.rollBack()), 200)))
