// /api/owners and /api/wallets: who owns boards, and the wallets that payees are paid to.
import { createRoute, z } from '@hono/zod-openapi'
import { createRouter, json, no, type Refused, refusals } from './answers.ts'
import { WalletChangeView } from './shapes.ts'

const Id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ -')
const Payee = z
  .string()
  .regex(
    /^(((requester|publisher)\/)?[A-Za-z0-9_-]{1,64}|operator\/fees)$/,
    'must be an owner id, requester/ID, publisher/ID or operator/fees',
  )
const Signature = z.string().min(64).max(90)

export const OwnerView = z.object({ id: z.string(), name: z.string(), wallet: z.string().optional() })
export type OwnerView = z.infer<typeof OwnerView>

const Registered = z.discriminatedUnion('state', [
  z.object({ state: z.literal('registered'), address: z.string() }),
  z.object({ state: z.literal('waiting'), change: WalletChangeView }),
])
const NewOwner = z.object({ id: Id, name: z.string().min(1).max(120).optional() })
const Asking = z.object({ payee: Payee, address: z.string().min(32).max(44) })
const Signed = z.object({ payee: Payee, signature: Signature, oldSignature: Signature.optional() })

export interface OwnerDesk {
  owners(): Promise<OwnerView[]>
  addOwner(request: z.infer<typeof NewOwner>): Promise<OwnerView | Refused>
}
export interface WalletDesk {
  changes(): Promise<WalletChangeView[]>
  challenge(request: z.infer<typeof Asking>): Promise<{ text: string } | Refused>
  register(request: z.infer<typeof Signed>): Promise<z.infer<typeof Registered> | Refused>
  cancel(id: number): Promise<{ cancelled: number } | Refused>
}

const body = <S>(schema: S) => ({ body: { content: { 'application/json': { schema } }, required: true as const } })

const listOwners = createRoute({
  method: 'get',
  path: '/',
  responses: { 200: json(z.array(OwnerView), 'All owners of boards.'), ...refusals(401, 403) },
})
const addOwner = createRoute({
  method: 'post',
  path: '/',
  request: body(NewOwner),
  responses: { 201: json(OwnerView, 'The new owner.'), ...refusals(400, 401, 403, 404, 409) },
})
const challenge = createRoute({
  method: 'post',
  path: '/challenge',
  request: body(Asking),
  responses: {
    200: json(
      z.object({ text: z.string() }),
      'The text that the wallet signs, byte for byte; good for ten minutes, once.',
    ),
    ...refusals(400, 401, 403, 404, 409),
  },
})
const register = createRoute({
  method: 'post',
  path: '/',
  request: body(Signed),
  responses: {
    200: json(Registered, 'Registered, or waiting because another wallet is registered and did not sign as well.'),
    ...refusals(400, 401, 403, 404, 409),
  },
})
const listChanges = createRoute({
  method: 'get',
  path: '/changes',
  responses: { 200: json(z.array(WalletChangeView), 'Changes that wait.'), ...refusals(401, 403) },
})
const cancel = createRoute({
  method: 'delete',
  path: '/changes/{id}',
  request: { params: z.object({ id: z.coerce.number().int().positive() }) },
  responses: {
    200: json(z.object({ cancelled: z.int() }), 'It will not happen.'),
    ...refusals(400, 401, 403, 404, 409),
  },
})

export const ownerRoutes = (desk: OwnerDesk) =>
  createRouter()
    .openapi(listOwners, async (c) => c.json(await desk.owners(), 200))
    .openapi(addOwner, async (c) => {
      const made = await desk.addOwner(c.req.valid('json'))
      return 'refused' in made ? no(c, made) : c.json(made, 201)
    })

export const walletRoutes = (desk: WalletDesk) =>
  createRouter()
    .openapi(challenge, async (c) => {
      const made = await desk.challenge(c.req.valid('json'))
      return 'refused' in made ? no(c, made) : c.json(made, 200)
    })
    .openapi(register, async (c) => {
      const made = await desk.register(c.req.valid('json'))
      return 'refused' in made ? no(c, made) : c.json(made, 200)
    })
    .openapi(listChanges, async (c) => c.json(await desk.changes(), 200))
    .openapi(cancel, async (c) => {
      const made = await desk.cancel(c.req.valid('param').id)
      return 'refused' in made ? no(c, made) : c.json(made, 200)
    })
