// What the payout engine asks of a chain, and the words it speaks with it. solana.ts answers; tests put faults between.

export interface SignedPayout {
  /** Base58. */
  readonly signature: string
  readonly wire: Uint8Array
  readonly blockhash: string
  readonly lastValidBlockHeight: number
}

export interface SignatureStatus {
  readonly commitment: 'processed' | 'confirmed' | 'finalized'
  /** What the transaction failed with, as the chain says it; absent when it succeeded. */
  readonly error?: string
}

export interface Lifetime {
  readonly blockhash: string
  readonly lastValidBlockHeight: number
}

export interface Funds {
  /** Base units in the treasury's token account. */
  readonly tokenUnits: bigint
  readonly lamports: bigint
  /** Of the asked wallets, those whose token account must still be made. */
  readonly without: ReadonlySet<string>
  /** Lamports that one new token account costs. */
  readonly accountRent: bigint
}

export interface PayoutChain {
  /** Address of the treasury: it owns the tokens and pays the fees. */
  readonly treasury: string
  finalized(): Promise<{ readonly slot: number; readonly height: number }>
  /** With search of the whole history. `slot` is how far the answering node had seen. */
  statuses(signatures: readonly string[]): Promise<{
    readonly slot: number
    readonly found: ReadonlyMap<string, SignatureStatus>
  }>
  lifetime(): Promise<Lifetime>
  /** Builds and signs; reaches for no network. */
  sign(payment: { wallet: string; units: bigint; memo: string }, lifetime: Lifetime): SignedPayout
  /** One try. Whatever it answers, the transaction may still land until its blockhash has expired. */
  send(wire: Uint8Array): Promise<void>
  funds(wallets: readonly string[]): Promise<Funds>
}
