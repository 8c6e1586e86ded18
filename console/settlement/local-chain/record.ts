// What the chain remembers about a landed transaction: balances before and after, logs, error, memo.
import { listedAt } from './lookup-tables.ts'
import type { WireTransaction } from './message.ts'
import type { AccountState, Execution, Svm } from './svm.ts'
import type { TransactionError } from './svm-errors.ts'
import { mintOf, TOKEN_PROGRAM, tokenAccountOf, uiAmount } from './tokens.ts'

/** Memo v2 (signers verified) and v1. */
export const MEMO_PROGRAMS = [
  'MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr',
  'Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo',
] as const

export interface TransactionMeta {
  readonly err: TransactionError | null
  readonly status: { readonly Ok: null } | { readonly Err: TransactionError }
  readonly fee: number
  readonly preBalances: readonly number[]
  readonly postBalances: readonly number[]
  readonly preTokenBalances: readonly TokenBalance[]
  readonly postTokenBalances: readonly TokenBalance[]
  readonly innerInstructions: Execution['inner']
  readonly logMessages: readonly string[]
  readonly loadedAddresses: LoadedAddresses
  readonly computeUnitsConsumed: number
  readonly returnData?: Execution['returnData']
  readonly rewards: readonly never[]
}
interface TokenBalance {
  readonly accountIndex: number
  readonly mint: string
  readonly owner: string
  readonly programId: string
  readonly uiTokenAmount: ReturnType<typeof uiAmount>
}
export interface LoadedAddresses {
  readonly writable: readonly string[]
  readonly readonly: readonly string[]
}

/** As nodes write it: each memo with its byte length before it. */
export function memoOf(transaction: WireTransaction): string | null {
  const memos = transaction.instructions
    .filter(({ programIdIndex }) => MEMO_PROGRAMS.some((program) => program === transaction.keys[programIdIndex]))
    .map(({ data }) => `[${data.length}] ${Buffer.from(data).toString('utf8')}`)
  return memos.length > 0 ? memos.join('; ') : null
}

/** The addresses a version 0 transaction takes from lookup tables, in the order the runtime gives them. */
export function loadedAddresses(transaction: WireTransaction, svm: Svm): LoadedAddresses {
  const pick = (table: string, indexes: readonly number[]): string[] => {
    const data = svm.account(table)?.data ?? new Uint8Array()
    return indexes.map((index) => listedAt(data, index))
  }
  return {
    writable: transaction.lookups.flatMap(({ table, writable }) => pick(table, writable)),
    readonly: transaction.lookups.flatMap(({ table, readonly }) => pick(table, readonly)),
  }
}

export type Holdings = readonly (AccountState | undefined)[]

export const lamportsOf = (holdings: Holdings): bigint =>
  holdings.reduce((sum, account) => sum + (account?.lamports ?? 0n), 0n)

const tokenBalances = (holdings: Holdings, svm: Svm): TokenBalance[] =>
  holdings.flatMap((account, accountIndex) => {
    const token = account && tokenAccountOf(account)
    const mint = token && svm.account(token.mint)
    const decimals = mint && mintOf(mint)?.decimals
    if (!token || decimals === undefined) return []
    const { owner } = token
    const uiTokenAmount = uiAmount(token.amount, decimals)
    return [{ accountIndex, mint: token.mint, owner, programId: TOKEN_PROGRAM, uiTokenAmount }]
  })

const balances = (holdings: Holdings): number[] => holdings.map((account) => Number(account?.lamports ?? 0n))

export function metaOf(
  run: Execution,
  before: Holdings,
  after: Holdings,
  loaded: LoadedAddresses,
  svm: Svm,
): TransactionMeta {
  return {
    err: run.err,
    status: run.err === null ? { Ok: null } : { Err: run.err },
    // Nothing else leaves a transaction's accounts, so what is missing is the fee.
    fee: Number(lamportsOf(before) - lamportsOf(after)),
    preBalances: balances(before),
    postBalances: balances(after),
    preTokenBalances: tokenBalances(before, svm),
    postTokenBalances: tokenBalances(after, svm),
    innerInstructions: run.inner,
    logMessages: run.logs,
    loadedAddresses: loaded,
    computeUnitsConsumed: run.units,
    ...(run.returnData && { returnData: run.returnData }),
    rewards: [],
  }
}
