// The one error of the settlement room: a fault from outside (a chain, a key file, a port), told apart by its code.
export type ChainErrorCode =
  /** Nobody answered, or not in time: the call may or may not have had its effect. */
  | 'unreachable'
  /** The RPC answered with an error. */
  | 'rejected'
  /** The genesis hash is not that of the configured cluster, or of the chain this database began with. */
  | 'wrong-chain'
  | 'bad-mint'
  /** A token account that cannot be drawn from. */
  | 'bad-account'
  | 'bad-key-file'
  /** A transaction through a lookup table does not say what it should. */
  | 'bad-table'
  /** Asked for something that only the local chain may do (airdrop, making a mint). */
  | 'not-local'
  /** The local chain cannot run here: no native part for this platform. */
  | 'no-local-chain'
  | 'port-taken'
  /** Another process holds the chain folder. */
  | 'in-use'
  | 'damaged'

export class ChainError extends Error {
  override readonly name = 'ChainError'
  readonly code: ChainErrorCode
  constructor(code: ChainErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
