// GET /api/rewards, its epochs, and the ledger check: who earned what, and whether the money adds up.
import { createRoute, z } from '@hono/zod-openapi'
import { createRouter, json, refusals, refuse } from './answers.ts'
import { EpochView, LedgerCheck, ReceiptView, Rewards } from './shapes.ts'

const EpochDetail = z.object({ epoch: EpochView, receipts: z.array(ReceiptView) })
export type EpochDetail = z.infer<typeof EpochDetail>

const read = createRoute({
  method: 'get',
  path: '/',
  responses: {
    200: json(Rewards, 'Accounts of owners and requesters, the treasury, and the epochs.'),
    ...refusals(401, 403),
  },
})

const epoch = createRoute({
  method: 'get',
  path: '/epochs/{id}',
  request: {
    params: z.object({ id: z.coerce.number().int().positive() }),
    query: z.object({ limit: z.coerce.number().int().min(1).max(500).default(100) }),
  },
  responses: { 200: json(EpochDetail, 'One epoch with its newest receipts.'), ...refusals(400, 401, 403, 404) },
})

const check = createRoute({
  method: 'get',
  path: '/check',
  responses: { 200: json(LedgerCheck, 'The invariants of the money, each with its numbers.'), ...refusals(401, 403) },
})

export interface RewardDesk {
  rewards(): Promise<Rewards>
  epoch(id: number, limit: number): Promise<EpochDetail | undefined>
  checkLedger(): Promise<LedgerCheck>
}

export const rewardRoutes = (desk: Pick<RewardDesk, 'rewards' | 'epoch'>) =>
  createRouter()
    .openapi(read, async (c) => c.json(await desk.rewards(), 200))
    .openapi(epoch, async (c) => {
      const { id } = c.req.valid('param')
      const detail = await desk.epoch(id, c.req.valid('query').limit)
      return detail === undefined ? refuse(c, 404, 'unknown-epoch', `There is no epoch ${id}.`) : c.json(detail, 200)
    })

export const ledgerRoutes = ({ checkLedger }: Pick<RewardDesk, 'checkLedger'>) =>
  createRouter().openapi(check, async (c) => c.json(await checkLedger(), 200))
