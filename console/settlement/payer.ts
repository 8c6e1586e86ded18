// What the payout engine asks of a chain, and the words it speaks with it. solana-payer.ts answers; tests put faults between.
import type { LookupTable, TableChain } from './tables/table-chain.ts'

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
  /** It failed because its marker exists: another transaction of the same batch was there before. */
  readonly markerExists?: true
}

export interface Lifetime {
  readonly blockhash: string
  readonly lastValidBlockHeight: number
}

/** The address of a wallet, and what its token account gets. */
export interface Share {
  readonly wallet: string
  readonly units: bigint
}

/** One transaction to be: all of its shares are paid, or none. */
export interface Payment {
  /** Id of the batch. */
  readonly id: string
  readonly memo: string
  /** Null for a batch from before there were markers: signed without one. */
  readonly marker: string | null
  readonly lines: readonly Share[]
}

export interface Funds {
  /** Base units in the treasury's token account. */
  readonly tokenUnits: bigint
  /** Of the account that pays fees and rents. */
  readonly lamports: bigint
  /** Of the asked wallets, those whose token account must still be made. */
  readonly without: ReadonlySet<string>
  /** Lamports that one new token account costs, and one marker. */
  readonly accountRent: bigint
  readonly markerRent: bigint
}

/** What a transaction would do now, tried out without sending it. */
export type Rehearsal =
  | { readonly outcome: 'good' }
  /** Its marker is there already. */
  | { readonly outcome: 'taken' }
  /** The chain executed the marker and stopped at something of the batch itself. */
  | { readonly outcome: 'fault'; readonly reason: string }
  /** Refused for something that lies outside the batch. */
  | { readonly outcome: 'refused'; readonly reason: string }
  /** Its lookup tables cannot be used. */
  | { readonly outcome: 'no-table'; readonly reason: string }

/** One entry of the treasury's history. */
export interface HistoryEntry {
  readonly signature: string
  readonly slot: number
  /** Undefined for a transaction without one. */
  readonly memo: string | undefined
  readonly isFinal: boolean
  readonly hasFailed: boolean
}

/** What a transaction on the chain did with the token. */
export interface ChainTransfer {
  readonly signature: string
  /** Whether the treasury signed it: anybody may write a memo and name an address. */
  readonly isOurs: boolean
  readonly memo: string | undefined
  readonly atMs: number
  readonly blockhash: string
  readonly wire: Uint8Array
  /** Base units by which the treasury's token account changed. */
  readonly treasuryChange: bigint
  /** Who received, by wallet; the treasury left out. */
  readonly received: readonly Share[]
}

/** In what form a payment is sent: version 0 through these tables, or a legacy transaction where there are none. */
export type Through = readonly LookupTable[]

export interface PayoutChain extends TableChain {
  /** Address of the treasury: it owns the tokens. */
  readonly treasury: string
  /** Pays fees and rents; the treasury, unless another key was named. */
  readonly feePayer: string
  /** Lamports that one transaction costs besides rent. */
  readonly feeLamports: bigint
  /** Address of the account that a batch's transaction makes first, and that can be made once only. */
  markerOf(batch: string): string
  /** Bytes of the signed transaction; `without` as in Funds. At most MAX_TRANSACTION_BYTES can be sent. */
  sizeOf(payment: Payment, without: ReadonlySet<string>, through?: Through): number
  finalized(): Promise<{ readonly slot: number; readonly height: number }>
  /** With search of the whole history. `slot` is how far the answering node had seen. */
  statuses(signatures: readonly string[]): Promise<{
    readonly slot: number
    readonly found: ReadonlyMap<string, SignatureStatus>
  }>
  /** Which of these accounts exist, at finalized. */
  existing(addresses: readonly string[]): Promise<{ readonly slot: number; readonly found: ReadonlySet<string> }>
  /**
   * Transactions that name an address, newest first, at most 1,000, all that are at least confirmed. Rejects when the
   * answering node has not seen `minSlot`.
   */
  history(address: string, options: { readonly before?: string; readonly minSlot: number }): Promise<HistoryEntry[]>
  /** A finalized transaction; undefined while the answering node does not know it. */
  transfer(signature: string): Promise<ChainTransfer | undefined>
  lifetime(): Promise<Lifetime>
  /** On the state of a node that has seen `minSlot`. */
  rehearse(payment: Payment, without: ReadonlySet<string>, minSlot: number, through?: Through): Promise<Rehearsal>
  /** Builds and signs; reaches for no network. Throws ChainError `bad-table` rather than sign what was not meant. */
  sign(payment: Payment, without: ReadonlySet<string>, lifetime: Lifetime, through?: Through): SignedPayout
  /** One try. Whatever it answers, the transaction may still land until its blockhash has expired. */
  send(wire: Uint8Array): Promise<void>
  funds(wallets: readonly string[]): Promise<Funds>
  /** Takes the rents of these batches' markers back; harmless when repeated. */
  reclaim(batches: readonly string[]): Promise<void>
}

/** IPv6 minimum MTU minus headers: the largest transaction, legacy or version 0. */
export const MAX_TRANSACTION_BYTES = 1_232
