// GET /api/overview: the health sentence and the numbers under it.
import { createRoute } from '@hono/zod-openapi'
import { createRouter, json, refusals } from './answers.ts'
import { Overview } from './shapes.ts'

const read = createRoute({
  method: 'get',
  path: '/',
  responses: {
    200: json(Overview, 'The state of everything in one sentence, and the numbers behind it.'),
    ...refusals(401, 403),
  },
})

export interface OverviewDesk {
  overview(): Promise<Overview>
}

export const overviewRoutes = ({ overview }: OverviewDesk) =>
  createRouter().openapi(read, async (c) => c.json(await overview(), 200))
