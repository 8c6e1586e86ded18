// GET /api/rewards/reconcile: the treasury's history on the chain against the payouts of the database.
import { createRoute, z } from '@hono/zod-openapi'
import type { Reconciliation } from '../settlement/reconcile.ts'
import { createRouter, json, refusals, refuse } from './answers.ts'

const Side = z.object({ payouts: z.int(), units: z.string() })
export const ReconciliationView = z.object({
  ok: z.boolean(),
  /** Of the treasury's history that moved tokens or carry a memo of ours. */
  transactions: z.int(),
  chain: Side,
  ledger: Side,
  /** Batches that are not final here. */
  underWay: z.int(),
  /** Base units that came into the treasury's token account. */
  incoming: z.string(),
  differences: z.array(
    z.object({
      kind: z.enum(['only-on-chain', 'only-here', 'lines-differ', 'paid-twice', 'paid-though-failed', 'unknown']),
      detail: z.string(),
      batch: z.string().optional(),
      signature: z.string().optional(),
    }),
  ),
})
export type ReconciliationView = z.infer<typeof ReconciliationView>

const read = createRoute({
  method: 'get',
  path: '/reconcile',
  responses: {
    200: json(ReconciliationView, 'What the chain paid and what the ledger says, with every difference.'),
    ...refusals(401, 403, 503),
  },
})

export interface ReconcileDesk {
  /** Undefined when the chain does not answer. */
  reconcile(): Promise<Reconciliation | undefined>
}

const viewOf = ({ chain, ledger, incoming, differences, ...rest }: Reconciliation): ReconciliationView => ({
  ...rest,
  chain: { ...chain, units: String(chain.units) },
  ledger: { ...ledger, units: String(ledger.units) },
  incoming: String(incoming),
  differences: [...differences],
})

export const reconcileRoutes = (desk: ReconcileDesk) =>
  createRouter().openapi(read, async (c) => {
    const found = await desk.reconcile()
    return found === undefined
      ? refuse(
          c,
          503,
          'chain-unreachable',
          'The chain does not answer, so there is nothing to compare with; try again later.',
        )
      : c.json(viewOf(found), 200)
  })
