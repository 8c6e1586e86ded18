// /api/requesters: who may ask the pool for work, where they pay in, and what came.
import { createRoute, z } from '@hono/zod-openapi'
import { createRouter, json, no, type Refused, refusals, refuse } from './answers.ts'
import { PayoutView, Units } from './shapes.ts'

const Id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ -')
const At = z.iso.datetime()
/** 2^63 - 1: what the ledger's columns hold, in as many digits as the texts that are compared with it. */
const MOST_UNITS = '9223372036854775807'
/** Base units in a request: above zero, and what the ledger can count. */
const Amount = z
  .string()
  .regex(/^[1-9]\d{0,18}$/, `must be a whole number of base units, from 1 to ${MOST_UNITS}`)
  .refine((text) => text.length < MOST_UNITS.length || text <= MOST_UNITS, `must be at most ${MOST_UNITS} base units`)
  .describe('Base units')

export const RequesterView = z.object({
  id: z.string(),
  name: z.string(),
  budget: Units,
  reserved: Units,
  /** Where withdrawals go. */
  wallet: z.string().optional(),
  /** Where to pay in, once it was asked for: senders may name the wallet or its token account. */
  deposit: z.object({ wallet: z.string(), account: z.string(), readAt: At.optional() }).optional(),
  allowance: z
    .object({
      account: z.string(),
      state: z.enum(['good', 'revoked', 'spent', 'empty']),
      left: Units,
      below: Units,
      draw: Units,
      seenAt: At,
    })
    .optional(),
})
export type RequesterView = z.infer<typeof RequesterView>

export const DepositView = z.object({
  signature: z.string(),
  amount: Units,
  mint: z.string(),
  /** `dust`: too small to be credited alone. `foreign`: in another token account, not credited. */
  state: z.enum(['credited', 'dust', 'foreign']),
  at: At,
})
export type DepositView = z.infer<typeof DepositView>

const RequesterDetail = z.object({
  requester: RequesterView,
  deposits: z.array(DepositView),
  trouble: z.string().optional(),
})
export type RequesterDetail = z.infer<typeof RequesterDetail>

const NewRequester = z.object({ id: Id, name: z.string().min(1).max(120).optional(), owner: Id.optional() })
const Key = z.object({ id: z.string(), key: z.string().describe('Shown this once.') })
const Withdrawal = z.object({
  units: Amount,
  requestId: Id.describe(
    'A name of your choice for this withdrawal. Asked again under the same name, it is not paid again.',
  ),
})
export const Withdrawn = z.object({
  batch: z.string(),
  state: PayoutView.shape.state.describe('Failed: it is in the budget again.'),
})
export type Withdrawn = z.infer<typeof Withdrawn>
const Terms = z.object({ account: z.string().min(32).max(44), below: Amount, draw: Amount })

export interface RequesterDesk {
  requesters(): Promise<RequesterView[]>
  requester(id: string): Promise<RequesterDetail | undefined>
  addRequester(request: z.infer<typeof NewRequester>): Promise<z.infer<typeof Key> | Refused>
  renewKey(id: string): Promise<z.infer<typeof Key> | Refused>
  /** The requester with its deposit address, made now where there was none. */
  openDeposit(id: string): Promise<RequesterView | Refused>
  withdraw(id: string, request: { units: bigint; requestId: string }): Promise<Withdrawn | Refused>
  setAllowance(id: string, terms: { account: string; below: bigint; draw: bigint }): Promise<RequesterView | Refused>
  dropAllowance(id: string): Promise<void>
}

const params = z.object({ id: Id })
const body = <S>(schema: S) => ({ body: { content: { 'application/json': { schema } }, required: true as const } })

const list = createRoute({
  method: 'get',
  path: '/',
  responses: { 200: json(z.array(RequesterView), 'All requesters.'), ...refusals(401, 403) },
})
const one = createRoute({
  method: 'get',
  path: '/{id}',
  request: { params },
  responses: { 200: json(RequesterDetail, 'One requester and what it paid in.'), ...refusals(401, 403, 404) },
})
const add = createRoute({
  method: 'post',
  path: '/',
  request: body(NewRequester),
  responses: { 201: json(Key, 'The new requester and its API key.'), ...refusals(400, 401, 403, 404, 409) },
})
const renew = createRoute({
  method: 'post',
  path: '/{id}/key',
  request: { params },
  responses: { 200: json(Key, 'A new API key; the old one ends now.'), ...refusals(400, 401, 403, 404, 409) },
})
const deposit = createRoute({
  method: 'post',
  path: '/{id}/deposit',
  request: { params },
  responses: { 200: json(RequesterView, 'With its deposit address.'), ...refusals(400, 401, 403, 404, 409) },
})
const withdraw = createRoute({
  method: 'post',
  path: '/{id}/withdraw',
  request: { params, ...body(Withdrawal) },
  responses: {
    200: json(Withdrawn, 'The payout batch that carries it: the same one however often it is asked for.'),
    ...refusals(400, 401, 403, 404, 409),
  },
})
const setAllowance = createRoute({
  method: 'put',
  path: '/{id}/allowance',
  request: { params, ...body(Terms) },
  responses: { 200: json(RequesterView, 'With its allowance.'), ...refusals(400, 401, 403, 404, 409) },
})
const dropAllowance = createRoute({
  method: 'delete',
  path: '/{id}/allowance',
  request: { params },
  responses: { 204: { description: 'Nothing more is drawn.' }, ...refusals(401, 403) },
})

export const requesterRoutes = (desk: RequesterDesk) =>
  createRouter()
    .openapi(list, async (c) => c.json(await desk.requesters(), 200))
    .openapi(one, async (c) => {
      const { id } = c.req.valid('param')
      const detail = await desk.requester(id)
      return detail ? c.json(detail, 200) : refuse(c, 404, 'unknown-requester', `There is no requester ${id}.`)
    })
    .openapi(add, async (c) => {
      const made = await desk.addRequester(c.req.valid('json'))
      return 'refused' in made ? no(c, made) : c.json(made, 201)
    })
    .openapi(renew, async (c) => {
      const made = await desk.renewKey(c.req.valid('param').id)
      return 'refused' in made ? no(c, made) : c.json(made, 200)
    })
    .openapi(deposit, async (c) => {
      const made = await desk.openDeposit(c.req.valid('param').id)
      return 'refused' in made ? no(c, made) : c.json(made, 200)
    })
    .openapi(withdraw, async (c) => {
      const { units, requestId } = c.req.valid('json')
      const made = await desk.withdraw(c.req.valid('param').id, { units: BigInt(units), requestId })
      return 'refused' in made ? no(c, made) : c.json(made, 200)
    })
    .openapi(setAllowance, async (c) => {
      const { account, below, draw } = c.req.valid('json')
      const terms = { account, below: BigInt(below), draw: BigInt(draw) }
      const made = await desk.setAllowance(c.req.valid('param').id, terms)
      return 'refused' in made ? no(c, made) : c.json(made, 200)
    })
    .openapi(dropAllowance, async (c) => {
      await desk.dropAllowance(c.req.valid('param').id)
      return c.body(null, 204)
    })
