// What every route shares: the error body, its documentation, and who is calling.
import { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { ErrorBody } from './shapes.ts'

/** The console's own token may do everything; a requester's API key reaches its own tasks only. */
export type Caller = { readonly role: 'console' } | { readonly role: 'requester'; readonly id: string }

export interface Env {
  Variables: { caller: Caller }
}

export const json = <S>(schema: S, description: string) => ({
  content: { 'application/json': { schema } },
  description,
})

const DESCRIPTIONS = {
  400: 'The request is wrong; the message names the field.',
  401: 'No bearer token, or one that is not known.',
  402: "The requester's budget does not cover the price.",
  403: 'This token may not do that.',
  404: 'There is no such thing.',
  409: 'Not possible in the present state.',
  413: 'The body is larger than the limit.',
  429: 'Too many requests from this address.',
  503: 'Not possible at the moment; the message says why.',
} as const

type Refusal = keyof typeof DESCRIPTIONS
type RefusalResponses<S extends Refusal> = { [K in S]: ReturnType<typeof json<typeof ErrorBody>> }

/** Documentation of the refusals a route may answer, each `{error: {code, message}}`. */
export function refusals<S extends Refusal>(...statuses: readonly S[]): RefusalResponses<S> {
  return Object.fromEntries(
    statuses.map((status) => [status, json(ErrorBody, DESCRIPTIONS[status])]),
  ) as RefusalResponses<S>
}

/** Answers a refusal as `{error: {code, message}}`. */
export const refuse = <S extends Refusal | 500>(c: Context, status: S, code: string, message: string) =>
  c.json({ error: { code, message } }, status)

/** What a desk could not do, and why. */
export interface Refused {
  readonly refused: { readonly status: 400 | 404 | 409; readonly code: string; readonly message: string }
}

export const no = (c: Context, { refused: { status, code, message } }: Refused) => refuse(c, status, code, message)

/** A router whose bad requests are answered with one sentence naming the field. */
export const createRouter = () =>
  new OpenAPIHono<Env>({
    defaultHook: (result, c) => {
      if (result.success) return undefined
      const [issue] = result.error.issues
      const field = issue?.path.join('.') || result.target
      return refuse(c, 400, 'bad-request', `${field}: ${issue?.message ?? 'is wrong'}`)
    },
  })
