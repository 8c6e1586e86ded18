// GET /api/devices and /api/devices/:id: the boards, their clocks and their last work.
import { createRoute, z } from '@hono/zod-openapi'
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

export interface DeviceDesk {
  devices(): Promise<Device[]>
  device(id: string): Promise<DeviceDetail | undefined>
}

export const deviceRoutes = ({ devices, device }: DeviceDesk) =>
  createRouter()
    .openapi(list, async (c) => c.json(await devices(), 200))
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param')
      const detail = await device(id)
      return detail === undefined ? refuse(c, 404, 'unknown-device', `There is no board ${id}.`) : c.json(detail, 200)
    })
