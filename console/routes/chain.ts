// GET /api/chain/transactions/{signature}: a transaction as a person reads it. On a local chain no public explorer has it.
import { createRoute, z } from '@hono/zod-openapi'
import { createRouter, json, refusals, refuse } from './answers.ts'
import { Units } from './shapes.ts'

export const TransactionView = z.object({
  signature: z.string(),
  slot: z.int(),
  at: z.iso.datetime().optional(),
  feeLamports: z.int(),
  /** What it failed with; absent when it succeeded. */
  error: z.string().optional(),
  signers: z.array(z.string()),
  instructions: z.array(
    z.object({ program: z.string(), name: z.string(), text: z.string().optional(), accounts: z.array(z.string()) }),
  ),
  /** Lookup tables that it took accounts from, and how many; instructions name these by their own addresses. */
  tables: z.array(z.object({ address: z.string(), accounts: z.int() })),
  /** What each token account gained or lost. */
  changes: z.array(z.object({ account: z.string(), owner: z.string(), mint: z.string(), units: Units })),
  logs: z.array(z.string()),
})
export type TransactionView = z.infer<typeof TransactionView>

const read = createRoute({
  method: 'get',
  path: '/transactions/{signature}',
  request: { params: z.object({ signature: z.string().regex(/^[1-9A-HJ-NP-Za-km-z]{64,90}$/, 'is no signature') }) },
  responses: {
    200: json(TransactionView, 'The transaction, as the chain tells it.'),
    ...refusals(400, 401, 403, 404),
  },
})

export interface ChainDesk {
  /** Undefined while the chain does not know it, or does not answer. */
  transaction(signature: string): Promise<TransactionView | undefined>
}

export const chainRoutes = (desk: ChainDesk) =>
  createRouter().openapi(read, async (c) => {
    const { signature } = c.req.valid('param')
    const found = await desk.transaction(signature)
    return found
      ? c.json(found, 200)
      : refuse(c, 404, 'unknown-transaction', `The chain knows no transaction ${signature}.`)
  })
