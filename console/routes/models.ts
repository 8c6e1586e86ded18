// GET /api/models: what the fleet can run, and what one answer costs.
import { createRoute, z } from '@hono/zod-openapi'
import { createRouter, json, refusals } from './answers.ts'
import { ModelView } from './shapes.ts'

const list = createRoute({
  method: 'get',
  path: '/',
  responses: { 200: json(z.array(ModelView), 'The model packages the console knows.'), ...refusals(401, 403) },
})

export interface ModelDesk {
  models(): Promise<ModelView[]>
}

export const modelRoutes = ({ models }: ModelDesk) =>
  createRouter().openapi(list, async (c) => c.json(await models(), 200))
