// The memo of a batch: which batch it is, and what the ledger had committed to by then (rewards/epochs.ts); and that of a new
// lookup table: where it lies.
const MEMO = /^bramble:([^:\s]+)(?::([\w-]{43}))?$/

/** `head`: base64url, 43 characters, of the newest closed epoch; undefined while there is none. */
export const memoOf = (batch: string, head: string | undefined): string =>
  head === undefined ? `bramble:${batch}` : `bramble:${batch}:${head}`

/** The id of the batch; undefined for a memo that is none of ours. */
export const batchOfMemo = (memo: string): string | undefined => MEMO.exec(memo)?.[1]

const TABLE_MEMO = /^bramble-table:([1-9A-HJ-NP-Za-km-z]{32,44})$/
export const tableMemo = (address: string): string => `bramble-table:${address}`

/** The address of the table; undefined for a memo that is none of ours. */
export const tableOfMemo = (memo: string): string | undefined => TABLE_MEMO.exec(memo)?.[1]

/** Whether it could be either; what else is written beside a transaction does not concern us. */
export const isOurMemo = (memo: string): boolean => /^bramble(-table)?:/.test(memo)

/** An RPC joins the memos of a transaction, each with its length before it: `[17] bramble:e1-1; [2] hi`. */
export const memosIn = (text: string): string[] => text.split('; ').map((part) => part.replace(/^\[\d+\] /, ''))
