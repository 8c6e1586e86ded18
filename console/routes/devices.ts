// /api/devices and /api/devices/:id: the boards, their clocks and their last work; one that will not come back is removed.
import { createRoute, z } from '@hono/zod-openapi'
import type { Removed } from '../fleet/devices.ts'
import { createRouter, json, refusals, refuse } from './answers.ts'
import { Device, DeviceDetail } from './shapes.ts'

const list = createRoute({
  method: 'get',
  path: '/',
  responses: { 200: json(z.array(Device), 'Every enrolled board, by name.'), ...refusals(401, 403) },
})

const read = createRoute({
  method: 'get',
  path: '/{id}',
  request: { params: z.object({ id: z.string() }) },
  responses: { 200: json(DeviceDetail, 'One board with its last tasks and receipts.'), ...refusals(401, 403, 404) },
})

const remove = createRoute({
  method: 'delete',
  path: '/{id}',
  request: { params: z.object({ id: z.string() }) },
  responses: {
    204: { description: 'It is gone from the lists. What it earned stays.' },
    ...refusals(401, 403, 404, 409),
  },
})

export interface DeviceDesk {
  devices(): Promise<Device[]>
  device(id: string): Promise<DeviceDetail | undefined>
  remove(id: string): Promise<Removed>
}

export const deviceRoutes = ({ devices, device, remove: take }: DeviceDesk) =>
  createRouter()
    .openapi(list, async (c) => c.json(await devices(), 200))
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param')
      const detail = await device(id)
      return detail === undefined ? refuse(c, 404, 'unknown-device', `There is no board ${id}.`) : c.json(detail, 200)
    })
    .openapi(remove, async (c) => {
      const { id } = c.req.valid('param')
      const outcome = await take(id)
      if (outcome === 'unknown') return refuse(c, 404, 'unknown-device', `There is no board ${id}.`)
      if (outcome === 'connected')
        return refuse(c, 409, 'connected', 'It is connected: switch it off, or stop its agent, before it is removed.')
      return c.body(null, 204)
    })
