// GET /api/rewards/reconcile: payouts and deposits on the chain against those of the database.
import { createRoute, z } from '@hono/zod-openapi'
import type { WholeReconciliation } from '../settlement/collect.ts'
import { DIFFERENCES } from '../settlement/reconcile.ts'
import { createRouter, json, refusals, refuse } from './answers.ts'

const Side = z.object({ payouts: z.int(), units: z.string() })
const Deposited = z.object({ count: z.int(), units: z.string() })
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
  /** What came to deposit accounts, as far as it was read; `waiting` transactions were not yet. */
  deposits: z.object({ chain: Deposited, ledger: Deposited, waiting: z.int() }),
  differences: z.array(
    z.object({
      kind: z.enum(DIFFERENCES),
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
    200: json(ReconciliationView, 'What the chain paid and brought and what the ledger says, with every difference.'),
    ...refusals(401, 403, 503),
  },
})

export interface ReconcileDesk {
  /** Undefined when the chain does not answer. */
  reconcile(): Promise<WholeReconciliation | undefined>
}

const viewOf = (found: WholeReconciliation): ReconciliationView => {
  const { chain, ledger, incoming, deposits, differences, ...rest } = found
  return {
    ...rest,
    chain: { ...chain, units: String(chain.units) },
    ledger: { ...ledger, units: String(ledger.units) },
    incoming: String(incoming),
    deposits: {
      chain: { ...deposits.chain, units: String(deposits.chain.units) },
      ledger: { ...deposits.ledger, units: String(deposits.ledger.units) },
      waiting: deposits.waiting,
    },
    differences: [...differences],
  }
}

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
