// /api/fleet/desired and /api/devices/:id/desired: which versions boards should serve, for all of them or for one.
import { createRoute, z } from '@hono/zod-openapi'
import { createRouter, json, refusals, refuse } from './answers.ts'
import { orRefusal } from './releases.ts'
import { DesiredChange, DesiredState } from './shapes.ts'

const Wish = z.object({
  model: z.string().min(1).max(64),
  version: z
    .string()
    .max(64)
    .nullable()
    .openapi({ description: 'null: no opinion, boards serve what is in their own folder.' }),
})
const Back = z.object({ model: z.string().min(1).max(64) })

const jsonBody = <S>(schema: S) => ({ content: { 'application/json': { schema } }, required: true as const })
const faults = refusals(400, 401, 403, 404, 409, 503)
const device = z.object({ id: z.string() })

const readFleet = createRoute({
  method: 'get',
  path: '/fleet/desired',
  responses: { 200: json(DesiredState, 'What every board should serve that has no opinion of its own.'), ...faults },
})
const setFleet = createRoute({
  method: 'put',
  path: '/fleet/desired',
  request: { body: jsonBody(Wish) },
  responses: { 200: json(DesiredChange, 'What it was, and what it is now; the boards are told.'), ...faults },
})
const backFleet = createRoute({
  method: 'post',
  path: '/fleet/desired/rollback',
  request: { body: jsonBody(Back) },
  responses: { 200: json(DesiredChange, 'It is again what it was before the last change.'), ...faults },
})
const readBoard = createRoute({
  method: 'get',
  path: '/devices/{id}/desired',
  request: { params: device },
  responses: { 200: json(DesiredState, 'What this board should serve, and who says so.'), ...faults },
})
const setBoard = createRoute({
  method: 'put',
  path: '/devices/{id}/desired',
  request: { params: device, body: jsonBody(Wish) },
  responses: { 200: json(DesiredChange, 'For this board alone; null: as the fleet.'), ...faults },
})
const backBoard = createRoute({
  method: 'post',
  path: '/devices/{id}/desired/rollback',
  request: { params: device, body: jsonBody(Back) },
  responses: { 200: json(DesiredChange, 'It is again what it was before the last change.'), ...faults },
})

export interface DesiredDesk {
  /** `device` undefined: the fleet. */
  desired(device?: string): DesiredState
  /** Rejects with RegistryError, as does the way back. */
  desire(model: string, version: string | null, device?: string): Promise<DesiredChange>
  rollBack(model: string, device?: string): Promise<DesiredChange>
  isBoard(device: string): boolean
}

export const desiredRoutes = (desk: DesiredDesk) =>
  createRouter()
    .openapi(readFleet, (c) => c.json(desk.desired(), 200))
    .openapi(setFleet, (c) =>
      orRefusal(c, async () => {
        const { model, version } = c.req.valid('json')
        return c.json(await desk.desire(model, version), 200)
      }),
    )
    .openapi(backFleet, (c) => orRefusal(c, async () => c.json(await desk.rollBack(c.req.valid('json').model), 200)))
    .openapi(readBoard, (c) => {
      const { id } = c.req.valid('param')
      if (!desk.isBoard(id)) return refuse(c, 404, 'unknown-device', `There is no board ${id}.`)
      return c.json(desk.desired(id), 200)
    })
    .openapi(setBoard, (c) => {
      const { id } = c.req.valid('param')
      if (!desk.isBoard(id)) return refuse(c, 404, 'unknown-device', `There is no board ${id}.`)
      const { model, version } = c.req.valid('json')
      return orRefusal(c, async () => c.json(await desk.desire(model, version, id), 200))
    })
    .openapi(backBoard, (c) => {
      const { id } = c.req.valid('param')
      if (!desk.isBoard(id)) return refuse(c, 404, 'unknown-device', `There is no board ${id}.`)
      return orRefusal(c, async () => c.json(await desk.rollBack(c.req.valid('json').model, id), 200))
    })
