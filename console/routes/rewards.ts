// GET /api/rewards, its epochs, proofs and statements, and the ledger check: who earned what, and whether the money adds up.
import { createRoute, z } from '@hono/zod-openapi'
import { Proof } from '../rewards/proof.ts'
import { createRouter, json, refusals, refuse } from './answers.ts'
import { EpochView, LedgerCheck, ReceiptView, Rewards, StatementView } from './shapes.ts'

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

const receiptId = z.object({ id: z.coerce.number().int().positive() })

const proof = createRoute({
  method: 'get',
  path: '/receipts/{id}/proof',
  request: { params: receiptId },
  responses: {
    200: json(Proof, 'The proof of a receipt, which can be checked without this console: bramble rewards verify FILE.'),
    ...refusals(400, 401, 403, 404, 409),
  },
})

const decision = createRoute({
  method: 'post',
  path: '/receipts/{id}/{verdict}',
  request: {
    params: receiptId.extend({ verdict: z.enum(['release', 'forfeit']) }),
    body: { ...json(z.object({ reason: z.string().trim().min(1).max(200) }), 'Why.'), required: true },
  },
  responses: {
    200: json(ReceiptView, 'The held receipt was credited, or forfeited and its price given back.'),
    ...refusals(400, 401, 403, 404, 409),
  },
})

/** A day is taken as its first moment (UTC). */
const Moment = z.union([z.iso.date(), z.iso.datetime()]).transform((text) => Date.parse(text))

const statement = createRoute({
  method: 'get',
  path: '/statements/{payee}',
  request: {
    params: z.object({ payee: z.string() }),
    query: z.object({
      from: Moment.optional(),
      to: Moment.optional(),
      format: z.enum(['json', 'csv']).default('json'),
    }),
  },
  responses: {
    200: {
      description:
        'Opening balance, lines and closing balance of an owner, requester/ID, publisher/ID or operator/fees.',
      content: { 'application/json': { schema: StatementView }, 'text/csv': { schema: z.string() } },
    },
    ...refusals(400, 401, 403, 404),
  },
})

/** What cannot be had, and why, in one sentence. */
export interface Refused {
  readonly status: 404 | 409
  readonly code: string
  readonly message: string
}

export interface Asked {
  readonly payee: string
  readonly from: number | undefined
  readonly to: number | undefined
}

export interface RewardDesk {
  rewards(): Promise<Rewards>
  epoch(id: number, limit: number): Promise<EpochDetail | undefined>
  proof(receipt: number): Promise<Proof | Refused>
  decide(receipt: number, verdict: 'release' | 'forfeit', reason: string): Promise<ReceiptView | Refused>
  /** Undefined when there is no such payee. */
  statement(asked: Asked): Promise<{ view: StatementView; csv: string } | undefined>
  checkLedger(): Promise<LedgerCheck>
}

const isRefused = (answer: object): answer is Refused => 'status' in answer

export const rewardRoutes = (desk: Omit<RewardDesk, 'checkLedger'>) =>
  createRouter()
    .openapi(read, async (c) => c.json(await desk.rewards(), 200))
    .openapi(epoch, async (c) => {
      const { id } = c.req.valid('param')
      const detail = await desk.epoch(id, c.req.valid('query').limit)
      return detail === undefined ? refuse(c, 404, 'unknown-epoch', `There is no epoch ${id}.`) : c.json(detail, 200)
    })
    .openapi(proof, async (c) => {
      const found = await desk.proof(c.req.valid('param').id)
      return isRefused(found) ? refuse(c, found.status, found.code, found.message) : c.json(found, 200)
    })
    .openapi(decision, async (c) => {
      const { id, verdict } = c.req.valid('param')
      const decided = await desk.decide(id, verdict, c.req.valid('json').reason)
      return isRefused(decided) ? refuse(c, decided.status, decided.code, decided.message) : c.json(decided, 200)
    })
    .openapi(statement, async (c) => {
      const { format, from, to } = c.req.valid('query')
      const { payee } = c.req.valid('param')
      const found = await desk.statement({ payee, from, to })
      if (found === undefined) return refuse(c, 404, 'unknown-payee', `There is no payee ${payee}.`)
      if (format === 'json') return c.json(found.view, 200)
      return c.body(found.csv, 200, {
        'content-type': 'text/csv; charset=utf-8',
        'content-disposition': `attachment; filename="${payee.replaceAll(/[^\w-]/g, '-')}.csv"`,
      })
    })

export const ledgerRoutes = ({ checkLedger }: Pick<RewardDesk, 'checkLedger'>) =>
  createRouter().openapi(check, async (c) => c.json(await checkLedger(), 200))
