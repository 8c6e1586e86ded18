// /boards/receipts: what a board has earned, and the proofs of it, for whoever holds its credential: its owner.
import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { Proof } from '../rewards/proof.ts'
import { json, refusals, refuse } from './answers.ts'
import { type BoardEnv, type BoardGuardOptions, requireBoard } from './board-guard.ts'
import type { RewardDesk } from './rewards.ts'
import { ReceiptView } from './shapes.ts'

export interface BoardReceiptDesk {
  readonly guard: BoardGuardOptions
  receiptsOf(device: string, limit: number): Promise<ReceiptView[]>
  receipt(id: number): Promise<ReceiptView | undefined>
  readonly proof: RewardDesk['proof']
}

const board = [{ bearer: [] }]

const list = createRoute({
  method: 'get',
  path: '/',
  security: board,
  request: { query: z.object({ limit: z.coerce.number().int().min(1).max(500).default(50) }) },
  responses: { 200: json(z.array(ReceiptView), "This board's newest receipts."), ...refusals(400, 401, 429) },
})

const proof = createRoute({
  method: 'get',
  path: '/{id}/proof',
  security: board,
  request: { params: z.object({ id: z.coerce.number().int().positive() }) },
  responses: { 200: json(Proof, 'The proof of one of its receipts.'), ...refusals(400, 401, 404, 409, 429) },
})

export function boardReceiptRoutes(desk: BoardReceiptDesk) {
  const router = new OpenAPIHono<BoardEnv>()
  router.use('*', requireBoard(desk.guard))
  return router
    .openapi(list, async (c) => c.json(await desk.receiptsOf(c.get('device'), c.req.valid('query').limit), 200))
    .openapi(proof, async (c) => {
      const { id } = c.req.valid('param')
      // Of another board it is as if there were none: numbers of receipts are easy to guess.
      if ((await desk.receipt(id))?.device.id !== c.get('device'))
        return refuse(c, 404, 'unknown-receipt', `This board has no receipt ${id}.`)
      const found = await desk.proof(id)
      return 'status' in found ? refuse(c, found.status, found.code, found.message) : c.json(found, 200)
    })
}
