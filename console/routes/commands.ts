// /api/devices/{id}/commands: asking a board something (`logs`, `vitals`, `converge`), now or when it comes back.
import { createRoute, z } from '@hono/zod-openapi'
import { isTopicLevel } from '../../broker/protocol/topics.ts'
import { createRouter, json, refusals, refuse } from './answers.ts'

const At = z.iso.datetime()
const Name = z.string().refine(isTopicLevel, 'must match [A-Za-z0-9_-]{1,64}')

/**
 * queued: kept here until the board is connected. sent: on its way, sent again until it is answered. Commands are kept in the
 * console's memory only: after its restart they are gone, and so are their answers.
 */
export const COMMAND_STATES = ['queued', 'sent', 'done', 'failed', 'expired'] as const

export const CommandView = z.object({
  id: z.string(),
  device: z.string(),
  name: z.string(),
  state: z.enum(COMMAND_STATES),
  /** One sentence for people. */
  reason: z.string(),
  at: At,
  expiresAt: At,
  endedAt: At.optional(),
  /** What the board answered, when it is done; the newest answers only, older ones are forgotten. */
  result: z.unknown().optional(),
})
export type CommandView = z.infer<typeof CommandView>

/** Longer than a browser or proxy keeps a request open would be no use. */
const MAX_WAIT_S = 25
const DEFAULT_WAIT_S = 10

const Order = z.object({
  args: z.record(z.string(), z.unknown()).optional(),
  /** From now on; a board that is away until then does not do it any more. */
  expiresInS: z.int().min(1).max(86_400).default(60),
  /** How long this request stays for the answer; 0: not at all. */
  waitS: z.number().min(0).max(MAX_WAIT_S).default(DEFAULT_WAIT_S),
})
export type Order = z.infer<typeof Order>

const unknown = (id: string): string => `There is no board ${id}.`

const order = createRoute({
  method: 'post',
  path: '/{id}/commands/{name}',
  request: {
    params: z.object({ id: z.string(), name: Name }),
    body: { content: { 'application/json': { schema: Order } } },
  },
  responses: {
    200: json(CommandView, 'The board has answered, or the command has expired; `state` says which.'),
    202: json(CommandView, 'Not answered within `waitS`; look again at GET …/commands/{name}/{command}.'),
    ...refusals(400, 401, 403, 404, 429),
  },
})

const list = createRoute({
  method: 'get',
  path: '/{id}/commands',
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: json(z.array(CommandView), "A board's last commands, newest first, without what they answered."),
    ...refusals(401, 403, 404),
  },
})

const read = createRoute({
  method: 'get',
  path: '/{id}/commands/{name}/{command}',
  request: { params: z.object({ id: z.string(), name: Name, command: z.string() }) },
  responses: { 200: json(CommandView, 'One command.'), ...refusals(401, 403, 404) },
})

export interface CommandDesk {
  has(device: string): boolean
  /** Undefined: this board has too many open commands. */
  order(device: string, name: string, order: Pick<Order, 'args' | 'expiresInS'>): CommandView | undefined
  /** As it is once it has ended, or after `waitMs`. */
  waitFor(device: string, id: string, waitMs: number, signal: AbortSignal): Promise<CommandView | undefined>
  get(device: string, id: string): CommandView | undefined
  list(device: string): CommandView[]
}

const isOpen = ({ state }: CommandView): boolean => state === 'queued' || state === 'sent'

export const commandRoutes = (desk: CommandDesk) =>
  createRouter()
    .openapi(order, async (c) => {
      const { id, name } = c.req.valid('param')
      if (!desk.has(id)) return refuse(c, 404, 'unknown-device', unknown(id))
      const { waitS, ...asked } = Order.parse(c.req.valid('json'))
      const given = desk.order(id, name, asked)
      if (given === undefined)
        return refuse(
          c,
          429,
          'too-many-commands',
          'This board has too many open commands; wait for them, or let them expire.',
        )
      const command = (await desk.waitFor(id, given.id, waitS * 1000, c.req.raw.signal)) ?? given
      return isOpen(command) ? c.json(command, 202) : c.json(command, 200)
    })
    .openapi(list, (c) => {
      const { id } = c.req.valid('param')
      return desk.has(id) ? c.json(desk.list(id), 200) : refuse(c, 404, 'unknown-device', unknown(id))
    })
    .openapi(read, (c) => {
      const { id, name, command } = c.req.valid('param')
      const found = desk.get(id, command)
      return found?.name !== name
        ? refuse(
            c,
            404,
            'unknown-command',
            `Nothing is known of a command ${command} to ${id}; they are kept in memory only.`,
          )
        : c.json(found, 200)
    })
