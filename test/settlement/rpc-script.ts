// One script of what any Solana client does, and what it must see; each client of the contract test plays it its own way.
export interface Money {
  readonly mint: string
  readonly payee: string
  readonly signature: string
}
export interface Page {
  readonly limit?: number
  readonly before?: string
  readonly until?: string
}
export interface ScriptClient {
  readonly payer: string
  genesisHash(): Promise<string>
  health(): Promise<string>
  airdrop(sol: number): Promise<void>
  balance(): Promise<bigint>
  /** createAccount + InitializeMint2 + CreateIdempotent + MintToChecked(supply), confirmed over WebSocket. */
  makeMint(supply: bigint, decimals: number): Promise<string>
  /** CreateIdempotent + TransferChecked + memo, confirmed over WebSocket. */
  pay(mint: string, units: bigint, decimals: number, memo: string): Promise<Money>
  simulate(mint: string, units: bigint, decimals: number): Promise<{ err: unknown; logs: readonly string[] }>
  send(mint: string, units: bigint, decimals: number): Promise<{ message: string; logs: readonly string[] }>
  tokenBalance(mint: string, owner: string): Promise<bigint>
  supply(mint: string): Promise<bigint>
  tokenAccounts(owner: string, mint: string): Promise<readonly { amount: string; mint: string; owner: string }[]>
  /** createAccountWithSeed(rent) by the payer, with a memo, confirmed; the account's address. */
  makeSeeded(seed: string, memo: string): Promise<string>
  /** The error of trying makeSeeded without sending it. */
  tryoutSeeded(seed: string): Promise<unknown>
  /** transferWithSeed of everything in it, back to the payer. */
  emptySeeded(seed: string): Promise<void>
  /** Makes a lookup table of the payee's account for a token, then pays it by a transaction that takes it from there. */
  payThroughTable(mint: string, units: bigint, decimals: number): Promise<{ signature: string; table: string }>
  /** The table as the RPC shows it to this client: raw bytes to one, jsonParsed to the other. */
  tableAccount(table: string): Promise<{ authority: string; addresses: readonly string[]; isActive: boolean } | null>
  deactivateTable(table: string): Promise<void>
  /** Every kind of token, by the token program. */
  allTokens(owner: string): Promise<readonly string[]>
  /** The next slot told over WebSocket. */
  nextSlot(): Promise<bigint>
  balanceFrom(minContextSlot: bigint): Promise<bigint>
  lamportsOf(address: string): Promise<bigint>
  status(signature: string): Promise<{ readonly err: unknown } | null>
  history(address: string, page?: Page): Promise<readonly { signature: string; memo: string | null; err: unknown }[]>
  transaction(signature: string): Promise<{
    readonly fee: bigint
    readonly memoLogged: boolean
    readonly tokenDelta: bigint
    readonly slot: bigint
    /** Addresses taken from lookup tables. */
    readonly loaded: readonly string[]
    /** From which table and which indexes. */
    readonly lookups: readonly { table: string; writable: readonly number[]; readonly: readonly number[] }[]
  } | null>
  mintAccount(mint: string): Promise<{ owner: string; space: number; lamports: bigint } | null>
  fee(mint: string): Promise<bigint | null>
  slots(): Promise<{ slot: bigint; finalized: bigint; height: bigint; epoch: bigint }>
  blockhashIsValid(): Promise<boolean>
  rent(bytes: number): Promise<bigint>
  prioritizationFees(): Promise<number>
  close(): Promise<void>
}
