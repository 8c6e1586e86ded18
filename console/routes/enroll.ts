// /enroll: how a board gets in (token and key proof) and how it renews its credential (signed challenge). No bearer
// here: the token or the signature is the proof, and the address is rate-limited.
import { createRoute, z } from '@hono/zod-openapi'
import type { Enrolled } from '../fleet/enrolment.ts'
import { createRouter, json, refusals, refuse } from './answers.ts'
import { BoardCredential, BoardEnrolment, BoardRenewal } from './shapes.ts'

const jsonBody = <S>(schema: S) => ({ body: { content: { 'application/json': { schema } }, required: true } })

const enrol = createRoute({
  method: 'post',
  path: '/',
  request: jsonBody(BoardEnrolment),
  responses: {
    200: json(BoardCredential, 'The board is in: its id, name and credential.'),
    ...refusals(400, 401, 413, 429),
  },
})

const challenge = createRoute({
  method: 'get',
  path: '/challenge',
  responses: {
    200: json(z.object({ challenge: z.string() }), 'To be signed for a renewal within two minutes.'),
    ...refusals(429),
  },
})

const renew = createRoute({
  method: 'post',
  path: '/renew',
  request: jsonBody(BoardRenewal),
  responses: { 200: json(BoardCredential, 'A fresh credential.'), ...refusals(400, 401, 413, 429) },
})

export interface EnrolDesk {
  enrol(request: z.infer<typeof BoardEnrolment>): Promise<Enrolled>
  challenge(): string
  renew(request: z.infer<typeof BoardRenewal>): Promise<Enrolled>
}

export const enrolRoutes = (desk: EnrolDesk) =>
  createRouter()
    .openapi(enrol, async (c) => {
      const answer = await desk.enrol(c.req.valid('json'))
      return answer.ok ? c.json(answer.credential, 200) : refuse(c, 401, answer.refusal.code, answer.refusal.message)
    })
    .openapi(challenge, (c) => c.json({ challenge: desk.challenge() }, 200, { 'cache-control': 'no-store' }))
    .openapi(renew, async (c) => {
      const answer = await desk.renew(c.req.valid('json'))
      return answer.ok ? c.json(answer.credential, 200) : refuse(c, 401, answer.refusal.code, answer.refusal.message)
    })
