// What the deposit desk asks of a chain. solana-deposits.ts answers.
/** Where a requester pays in: a wallet of ours, and its token account of the mint. Senders may name either. */
export interface DepositAddress {
  readonly wallet: string
  readonly account: string
}

export interface Arrival {
  readonly signature: string
  readonly hasFailed: boolean
}

/** By how much a finalized transaction changed a token account. */
export interface Change {
  /** Base units; below zero for what left. */
  readonly units: bigint
  readonly slot: number
  readonly atMs: number
}

/** Tokens in a deposit wallet's other accounts, sent there by mistake: most of them of another mint. */
export interface Foreign {
  readonly account: string
  readonly mint: string
  readonly units: bigint
}

/** A token account that somebody else owns, as far as an allowance on it goes. */
export interface Allowed {
  readonly owner: string
  readonly units: bigint
  /** What the treasury may still draw; 0 without an allowance for it. */
  readonly allowedUnits: bigint
}

export interface DepositChain {
  addressOf(requester: string): DepositAddress
  /** Finalized transactions that name an account, newest first, as many as a page holds: those before `before` and after `until`. */
  arrivals(account: string, range: { readonly before?: string; readonly until?: string }): Promise<Arrival[]>
  /** Undefined while the answering node does not know the transaction. */
  change(signature: string, account: string): Promise<Change | undefined>
  foreign(wallet: string): Promise<Foreign[]>
  /** Base units by token account; 0 for one that does not exist. */
  balances(accounts: readonly string[]): Promise<bigint[]>
  /** One try to move tokens of a deposit account into the treasury's. */
  sweep(requester: string, units: bigint): Promise<void>
  /** Undefined when there is no such token account of the mint. */
  allowed(account: string): Promise<Allowed | undefined>
  /** One try to draw from an allowance into a deposit account. */
  draw(account: string, to: DepositAddress, units: bigint): Promise<{ readonly signature: string }>
  finalizedHeight(): Promise<number>
  /** Why nobody should be paid at an address that looks like a wallet: it is something else. */
  accountFault(address: string): Promise<string | undefined>
}
