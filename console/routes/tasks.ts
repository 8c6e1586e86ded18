// /api/tasks: a frame in by HTTP, its answer out; and what was asked of the pool lately.
import { createRoute, z } from '@hono/zod-openapi'
import { type ErrorCode, ResultMessage } from '../../broker/protocol/messages.ts'
import { isTopicLevel } from '../../broker/protocol/topics.ts'
import { type Caller, createRouter, json, refusals, refuse } from './answers.ts'
import { TaskView } from './shapes.ts'

const Level = z.string().refine(isTopicLevel, 'must match [A-Za-z0-9_-]{1,64}')
const Count = z.coerce.number().int().min(1).max(200)

const TaskFilter = z.object({
  state: z.enum(['queued', 'leased', 'done', 'failed', 'expired']).optional(),
  model: z.string().optional(),
  device: z.string().optional(),
  requester: z.string().optional(),
  /** A task id: answers the ones accepted before it. */
  before: z.string().optional(),
  limit: Count.default(50),
})
export type TaskFilter = z.infer<typeof TaskFilter>

const Ask = z.object({
  model: z.string().min(1).max(129),
  /** The caller's own task id; asked again under the same id the same answer comes back. */
  id: Level.optional(),
  /** With the console's token: for whom the task is run (the first requester when absent). */
  requester: Level.optional(),
  wait: z.enum(['0', '1', 'true', 'false']).default('0'),
})

const Accepted = z.object({ id: z.string() })

const list = createRoute({
  method: 'get',
  path: '/',
  request: { query: TaskFilter },
  responses: { 200: json(z.array(TaskView), 'The newest tasks first.'), ...refusals(400, 401) },
})

const byId = { params: z.object({ id: z.string() }) }

const read = createRoute({
  method: 'get',
  path: '/{id}',
  request: byId,
  responses: { 200: json(TaskView, 'One task.'), ...refusals(401, 404) },
})

const frame = createRoute({
  method: 'get',
  path: '/{id}/frame',
  request: byId,
  responses: {
    200: {
      content: { 'image/*': { schema: z.string().openapi({ format: 'binary' }) } },
      description: 'The frame as it was sent.',
    },
    ...refusals(401, 404),
  },
})

const refusedResult = json(ResultMessage, 'The answer is a refusal; `error.code` says why.')

const ask = createRoute({
  method: 'post',
  path: '/',
  request: {
    query: Ask,
    body: {
      content: { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } },
      required: true,
    },
  },
  responses: {
    200: json(ResultMessage, 'The answer (with wait=1).'),
    202: json(Accepted, 'Accepted; the answer is at GET /api/tasks/{id}.'),
    400: refusedResult,
    402: refusedResult,
    404: refusedResult,
    413: refusedResult,
    500: refusedResult,
    503: refusedResult,
    504: refusedResult,
    ...refusals(401, 409),
  },
})

const STATUS_OF = {
  'unknown-model': 404,
  'bad-envelope': 400,
  'bad-frame': 400,
  'bad-tensor': 400,
  'too-large': 413,
  'budget-exhausted': 402,
  'no-board': 503,
  busy: 503,
  expired: 504,
  timeout: 504,
  crashed: 500,
  'model-failed': 500,
  poison: 500,
} as const satisfies Record<ErrorCode, number>

/** Who asked, what for, and whether to stay for the answer. */
export interface Asking {
  readonly requester: string
  readonly model: string
  readonly requestId?: string
  readonly payload: Uint8Array
}
export type Asked = { readonly task: string } | { readonly answer: ResultMessage }

export interface TaskDesk {
  tasks(filter: TaskFilter): Promise<TaskView[]>
  task(id: string): Promise<TaskView | undefined>
  frame(id: string): { contentType: string; data: Uint8Array } | undefined
  /** Undefined when no requester is given and there is none. */
  requesterFor(asked: string | undefined): Promise<string | undefined>
  ask(asking: Asking): Promise<Asked>
  /** The answer of a task once it is there. */
  answer(task: string, signal: AbortSignal): Promise<ResultMessage>
}

const mine = (caller: Caller, task: TaskView | undefined): TaskView | undefined =>
  caller.role === 'console' || task?.requester === caller.id ? task : undefined

const noTask = (id: string): string => `There is no task ${id}.`

export const taskRoutes = (desk: TaskDesk) =>
  createRouter()
    .openapi(list, async (c) => {
      const caller = c.get('caller')
      const filter = c.req.valid('query')
      return c.json(await desk.tasks(caller.role === 'console' ? filter : { ...filter, requester: caller.id }), 200)
    })
    .openapi(ask, async (c) => {
      const caller = c.get('caller')
      const query = c.req.valid('query')
      const requester = caller.role === 'requester' ? caller.id : await desk.requesterFor(query.requester)
      if (requester === undefined) return refuse(c, 409, 'unknown-requester', 'There is no such requester.')
      const payload = new Uint8Array(await c.req.arrayBuffer())
      const asked = await desk.ask({ requester, model: query.model, payload, ...(query.id && { requestId: query.id }) })
      if ('task' in asked && (query.wait === '0' || query.wait === 'false')) return c.json({ id: asked.task }, 202)
      const answer = 'answer' in asked ? asked.answer : await desk.answer(asked.task, c.req.raw.signal)
      if (!('error' in answer)) return c.json(answer, 200)
      const { code, retryAfterMs } = answer.error
      if (retryAfterMs !== undefined) c.header('retry-after', String(Math.ceil(retryAfterMs / 1000)))
      return c.json(answer, STATUS_OF[code])
    })
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param')
      const task = mine(c.get('caller'), await desk.task(id))
      return task === undefined ? refuse(c, 404, 'unknown-task', noTask(id)) : c.json(task, 200)
    })
    .openapi(frame, async (c) => {
      const { id } = c.req.valid('param')
      const task = mine(c.get('caller'), await desk.task(id))
      const kept = task && desk.frame(id)
      if (kept === undefined) return refuse(c, 404, 'frame-gone', 'Only the frames of the last tasks are kept.')
      return c.body(new Uint8Array(kept.data), 200, {
        'content-type': kept.contentType,
        // A task's frame never changes.
        'cache-control': 'private, max-age=3600, immutable',
      })
    })
