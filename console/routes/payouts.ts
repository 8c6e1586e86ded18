// /api/payouts: every payout with its attempts and its transaction; POST settles now.
import { createRoute, z } from '@hono/zod-openapi'
import { createRouter, json, refusals, refuse } from './answers.ts'
import { TransactionView } from './chain.ts'
import { PayoutView } from './shapes.ts'

export const PayoutDetail = z.object({
  payout: PayoutView,
  attempts: z.array(
    z.object({
      attempt: z.int(),
      signature: z.string(),
      blockhash: z.string(),
      lastValidBlockHeight: z.int(),
      signedAt: z.iso.datetime(),
    }),
  ),
  /** Absent while the chain does not know it. */
  transaction: TransactionView.optional(),
})
export type PayoutDetail = z.infer<typeof PayoutDetail>

export const Settlement = z.object({
  /** What happened, in one sentence. */
  message: z.string(),
  /** The payouts planned by this call. */
  payouts: z.array(PayoutView),
})
export type Settlement = z.infer<typeof Settlement>

const list = createRoute({
  method: 'get',
  path: '/',
  request: { query: z.object({ limit: z.coerce.number().int().min(1).max(500).default(100) }) },
  responses: { 200: json(z.array(PayoutView), 'The newest payouts.'), ...refusals(400, 401, 403) },
})

const read = createRoute({
  method: 'get',
  path: '/{id}',
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: json(PayoutDetail, 'One payout, its signed attempts and its transaction.'),
    ...refusals(401, 403, 404),
  },
})

const settle = createRoute({
  method: 'post',
  path: '/',
  responses: {
    200: json(Settlement, 'The epoch was closed and what owners may be paid was planned; sending goes on by itself.'),
    ...refusals(401, 403, 503),
  },
})

export interface PayoutDesk {
  payouts(limit: number): Promise<PayoutView[]>
  payout(id: string): Promise<PayoutDetail | undefined>
  settle(): Promise<Settlement>
}

export const payoutRoutes = (desk: PayoutDesk) =>
  createRouter()
    .openapi(list, async (c) => c.json(await desk.payouts(c.req.valid('query').limit), 200))
    .openapi(settle, async (c) => c.json(await desk.settle(), 200))
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param')
      const detail = await desk.payout(id)
      return detail === undefined ? refuse(c, 404, 'unknown-payout', `There is no payout ${id}.`) : c.json(detail, 200)
    })
