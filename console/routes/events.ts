// GET /api/events: server-sent events. A client that reads slower than the fleet talks is let go and comes back.
import { createRoute, z } from '@hono/zod-openapi'
import { type SSEStreamingApi, streamSSE } from 'hono/streaming'
import { createRouter, refusals } from './answers.ts'
import type { ConsoleEvent } from './shapes.ts'

const listen = createRoute({
  method: 'get',
  path: '/',
  responses: {
    200: {
      content: { 'text/event-stream': { schema: z.string() } },
      description: 'Named events: overview, device, task, payout, rewards; the data of each is JSON.',
    },
    ...refusals(401, 403),
  },
})

/** Proxies close silent connections after 30 to 60 s. */
const HEARTBEAT_MS = 15_000
/** About ten seconds of a busy fleet: who is further behind than this shows the past. */
const MAX_WAITING = 256

export interface EventDesk {
  /** Hears every event from now on, the present overview first; the answer stops it. */
  subscribe(listener: (event: ConsoleEvent) => void): () => void
  /** Resolves when the console stops. */
  readonly stopping: AbortSignal
}

/** Writes what `subscribe` tells until the client leaves, falls behind, or the console stops. */
async function pump(stream: SSEStreamingApi, desk: EventDesk): Promise<void> {
  const waiting: ConsoleEvent[] = []
  let open = true
  let wake = (): void => undefined
  const end = (): void => {
    open = false
    wake()
  }
  const unsubscribe = desk.subscribe((event) => {
    waiting.push(event)
    if (waiting.length > MAX_WAITING) end()
    wake()
  })
  stream.onAbort(end)
  desk.stopping.addEventListener('abort', end)
  // `retry` is how long the browser waits before it comes back.
  await stream.write('retry: 2000\n\n')
  while (open) {
    const event = waiting.shift()
    if (event !== undefined) await stream.writeSSE({ event: event.event, data: JSON.stringify(event.data) })
    else await quietTime()
  }
  unsubscribe()
  desk.stopping.removeEventListener('abort', end)

  async function quietTime(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const silent = await new Promise<boolean>((resolve) => {
      wake = () => resolve(false)
      timer = setTimeout(() => resolve(true), HEARTBEAT_MS)
      if (!open || waiting.length > 0) resolve(false)
    })
    clearTimeout(timer)
    if (silent) await stream.write(': still here\n\n')
  }
}

export const eventRoutes = (desk: EventDesk) =>
  createRouter().openapi(listen, (c) => {
    c.header('x-accel-buffering', 'no')
    return streamSSE(c, (stream) => pump(stream, desk))
  })
