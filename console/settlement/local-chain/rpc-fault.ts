// A JSON-RPC error answer; the codes are those of JSON-RPC 2.0 and of agave's rpc_custom_error.rs.
export const RPC_CODES = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  preflightFailure: -32002,
  signatureVerificationFailure: -32003,
  unsupportedTransactionVersion: -32015,
  minContextSlotNotReached: -32016,
} as const

export class RpcFault extends Error {
  readonly code: number
  readonly data: unknown
  constructor(kind: keyof typeof RPC_CODES, message: string, data?: unknown) {
    super(message)
    this.code = RPC_CODES[kind]
    this.data = data
  }
}
