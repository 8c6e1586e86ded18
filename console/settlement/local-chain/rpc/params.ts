// The parameters that RPC methods share, as zod schemas, and how a method states what it takes.
import { z } from 'zod'
import { decodeBase58 } from '../../base58.ts'
import type { Chain } from '../chain.ts'
import { RpcFault } from '../rpc-fault.ts'

const base58 = (bytes: number, what: string) =>
  z.string().refine((text) => decodeBase58(text)?.length === bytes, { error: `not a base58 ${what}` })

export const Address = base58(32, 'address')
export const Signature = base58(64, 'signature')
export const Blockhash = base58(32, 'blockhash')
export const Commitment = z.enum(['processed', 'confirmed', 'finalized'])
export const AccountEncoding = z.enum(['base58', 'base64', 'base64+zstd', 'jsonParsed'])
export type AccountEncoding = z.infer<typeof AccountEncoding>
export const DataSlice = z.looseObject({ offset: z.int().min(0), length: z.int().min(0) })

/** Commitment defaults to finalized, as on a node. */
export const Context = z.looseObject({
  commitment: Commitment.default('finalized'),
  minContextSlot: z.int().optional(),
})
export const AccountConfig = Context.extend({ encoding: AccountEncoding.optional(), dataSlice: DataSlice.optional() })
export type AccountConfig = z.infer<typeof AccountConfig>

/** The slot an answer holds for, at the asked commitment; a fault when the caller insists on a later one. */
export function contextOf(chain: Chain, config: z.infer<typeof Context>): { slot: number; apiVersion: string } {
  const slot = chain.clock.slot(config.commitment)
  if (config.minContextSlot !== undefined && slot < config.minContextSlot)
    throw new RpcFault('minContextSlotNotReached', 'Minimum context slot has not been reached', { contextSlot: slot })
  return { slot, apiVersion: API_VERSION }
}

/** LiteSVM 1.5.0 is built on these agave crates; some clients read the version before they choose a method. */
export const API_VERSION = '4.1.2'

export type RpcMethod = (params: readonly unknown[]) => unknown
export type RpcMethods = Readonly<Record<string, RpcMethod>>

/** A method that takes the given positional parameters; missing ones at the end become undefined. */
export const method =
  <const T extends readonly z.ZodType[]>(
    schemas: T,
    run: (...params: { [K in keyof T]: z.output<T[K]> }) => unknown,
  ): RpcMethod =>
  (params) => {
    if (params.length > schemas.length)
      throw new RpcFault('invalidParams', `Invalid parameters: ${schemas.length} expected, ${params.length} given`)
    const values = schemas.map((schema, index) => {
      const result = schema.safeParse(params[index])
      if (result.success) return result.data
      const [issue] = result.error.issues
      const where = ['params', index, ...(issue?.path ?? [])].join('.')
      throw new RpcFault('invalidParams', `Invalid params: ${where}: ${issue?.message ?? 'wrong type'}`)
    })
    return run(...(values as { [K in keyof T]: z.output<T[K]> }))
  }

/** An optional configuration object whose own defaults hold when it is left out. */
export const config = <T extends z.ZodType>(schema: T) => z.preprocess((value) => value ?? {}, schema)
