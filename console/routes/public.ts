// What anybody may ask: is it alive, its numbers for Prometheus, and the key that signs credentials.
import { createRoute, z } from '@hono/zod-openapi'
import { createRouter, json } from './answers.ts'

const Health = z.object({ status: z.literal('ok'), version: z.string(), upS: z.number() })

const health = createRoute({
  method: 'get',
  path: '/healthz',
  responses: { 200: json(Health, 'The console answers and its database can be read.') },
})

const metrics = createRoute({
  method: 'get',
  path: '/metrics',
  responses: { 200: { content: { 'text/plain': { schema: z.string() } }, description: 'Prometheus text format.' } },
})

const keys = createRoute({
  method: 'get',
  path: '/.well-known/jwks.json',
  responses: {
    200: json(
      z.object({ keys: z.array(z.record(z.string(), z.unknown())) }),
      'The public key of the credentials that boards and pipelines show to the broker.',
    ),
  },
})

export interface PublicDesk {
  readonly version: string
  upS(): number
  /** Rejects when the database cannot be read. */
  probe(): Promise<void>
  metrics(): Promise<{ contentType: string; text: string }>
  jwks(): { keys: Record<string, unknown>[] }
}

export const publicRoutes = (desk: PublicDesk) =>
  createRouter()
    .openapi(health, async (c) => {
      await desk.probe()
      return c.json({ status: 'ok' as const, version: desk.version, upS: desk.upS() }, 200)
    })
    .openapi(metrics, async (c) => {
      const { contentType, text } = await desk.metrics()
      return c.text(text, 200, { 'content-type': contentType })
    })
    .openapi(keys, (c) => c.json(desk.jwks(), 200, { 'cache-control': 'public, max-age=300' }))
