// POST /api/rewards/lost/{address}: whose it is what the chain paid to an address that a restored database does not know.
import { createRoute, z } from '@hono/zod-openapi'
import { createRouter, json, no, type Refused, refusals } from './answers.ts'

export const AttributionView = z.object({
  address: z.string(),
  payee: z.string(),
  /** Base units that were owed to the payee and now are paid. */
  owed: z.string(),
  /** The rest in base units: paid beyond what was owed. */
  beyond: z.string(),
})
export type AttributionView = z.infer<typeof AttributionView>

const Wish = z.union([z.object({ payee: z.string().min(1) }), z.object({ writeOff: z.literal(true) })])
export type Wish = z.infer<typeof Wish>

const attribute = createRoute({
  method: 'post',
  path: '/lost/{address}',
  request: {
    params: z.object({ address: z.string() }),
    body: { ...json(Wish, 'An owner, requester/ID or publisher/ID; or that it is a loss.'), required: true },
  },
  responses: {
    200: json(AttributionView, 'It is booked, and payouts go on when nothing else is lost.'),
    ...refusals(400, 401, 403, 404, 409),
  },
})

export interface LostDesk {
  attribute(address: string, wish: Wish): Promise<AttributionView | Refused>
}

export const lostRoutes = (desk: LostDesk) =>
  createRouter().openapi(attribute, async (c) => {
    const done = await desk.attribute(c.req.valid('param').address, c.req.valid('json'))
    return 'refused' in done ? no(c, done) : c.json(done, 200)
  })
