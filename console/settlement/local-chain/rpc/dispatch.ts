// JSON-RPC 2.0: from a request's text to the answer's text, one or a batch, with the error shapes clients branch on.
import type { Logger } from 'pino'
import { z } from 'zod'
import { RpcFault } from '../rpc-fault.ts'
import type { RpcMethods } from './params.ts'

const Id = z.union([z.string(), z.number(), z.null()])
const Request = z.looseObject({
  jsonrpc: z.literal('2.0'),
  id: Id.optional(),
  method: z.string(),
  params: z.array(z.unknown()).default([]),
})
const HasId = z.looseObject({ id: Id })

export const MAX_BATCH = 100

// u64 values such as rentEpoch are beyond 2^53; clients with exact parsers get every digit.
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown }
export const encodeJson = (value: unknown): string =>
  JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? rawJSON(item.toString()) : item))

const answer = (id: unknown, body: object) => ({ jsonrpc: '2.0', ...body, id })
const faultAnswer = (id: unknown, { code, message, data }: RpcFault) =>
  answer(id, { error: { code, message, ...(data !== undefined && { data }) } })

/** Answers undefined for a notification (no id), as JSON-RPC asks. */
export type Dispatch = (text: string) => string | undefined

export function createDispatch(methods: RpcMethods, log: Logger): Dispatch {
  const call = (name: string, params: readonly unknown[]): unknown => {
    const run = Object.hasOwn(methods, name) ? methods[name] : undefined
    if (!run) throw new RpcFault('methodNotFound', 'Method not found')
    return run(params)
  }

  const faultOf = (error: unknown, name: string): RpcFault => {
    if (error instanceof RpcFault) return error
    log.error({ err: error, method: name }, 'an RPC method of the local chain failed')
    return new RpcFault('internal', 'Internal error')
  }

  const one = (input: unknown): object | undefined => {
    const request = Request.safeParse(input)
    if (!request.success) {
      const id = HasId.safeParse(input)
      return faultAnswer(id.success ? id.data.id : null, new RpcFault('invalidRequest', 'Invalid request'))
    }
    const { id, method, params } = request.data
    try {
      const result = call(method, params)
      return id === undefined ? undefined : answer(id, { result })
    } catch (error) {
      const fault = faultOf(error, method)
      return id === undefined ? undefined : faultAnswer(id, fault)
    }
  }

  return (text) => {
    let input: unknown
    try {
      input = JSON.parse(text)
    } catch {
      return encodeJson(faultAnswer(null, new RpcFault('parse', 'Parse error')))
    }
    if (!Array.isArray(input)) {
      const reply = one(input)
      return reply && encodeJson(reply)
    }
    if (input.length === 0 || input.length > MAX_BATCH)
      return encodeJson(
        faultAnswer(null, new RpcFault('invalidRequest', `Invalid request: 1 to ${MAX_BATCH} in a batch`)),
      )
    const replies = input.map(one).filter((reply) => reply !== undefined)
    return replies.length > 0 ? encodeJson(replies) : undefined
  }
}
