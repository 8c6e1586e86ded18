// /api/enrollments: tokens that let new boards in.
import { createRoute, z } from '@hono/zod-openapi'
import { createRouter, json, refusals, refuse } from './answers.ts'
import { Enrollment, EnrollmentRequest } from './shapes.ts'

export const EnrollmentView = z.object({
  id: z.string(),
  label: z.string(),
  owner: z.string(),
  usesLeft: z.int(),
  expiresAt: z.iso.datetime(),
  createdAt: z.iso.datetime(),
})
export type EnrollmentView = z.infer<typeof EnrollmentView>

const list = createRoute({
  method: 'get',
  path: '/',
  responses: {
    200: json(z.array(EnrollmentView), 'Tokens that still let boards in; the token itself is never shown again.'),
    ...refusals(401, 403),
  },
})

const make = createRoute({
  method: 'post',
  path: '/',
  request: { body: { content: { 'application/json': { schema: EnrollmentRequest } } } },
  responses: { 201: json(Enrollment, 'A token, shown once.'), ...refusals(400, 401, 403, 404) },
})

export interface EnrollmentDesk {
  enrollments(): Promise<EnrollmentView[]>
  /** Undefined when there is no such owner. */
  makeEnrollment(request: z.infer<typeof EnrollmentRequest>): Promise<z.infer<typeof Enrollment> | undefined>
}

export const enrollmentRoutes = (desk: EnrollmentDesk) =>
  createRouter()
    .openapi(list, async (c) => c.json(await desk.enrollments(), 200))
    .openapi(make, async (c) => {
      const request = EnrollmentRequest.parse(c.req.valid('json'))
      const made = await desk.makeEnrollment(request)
      return made === undefined
        ? refuse(c, 404, 'unknown-owner', `There is no owner ${request.owner ?? ''}.`)
        : c.json(made, 201)
    })
