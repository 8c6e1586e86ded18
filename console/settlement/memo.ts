// The memo of a batch: which batch it is, and what the ledger had committed to by then (rewards/epochs.ts).
const MEMO = /^bramble:([^:\s]+)(?::([\w-]{43}))?$/

/** `head`: base64url, 43 characters, of the newest closed epoch; undefined while there is none. */
export const memoOf = (batch: string, head: string | undefined): string =>
  head === undefined ? `bramble:${batch}` : `bramble:${batch}:${head}`

/** The id of the batch; undefined for a memo that is none of ours. */
export const batchOfMemo = (memo: string): string | undefined => MEMO.exec(memo)?.[1]

/** An RPC joins the memos of a transaction, each with its length before it: `[17] bramble:e1-1; [2] hi`. */
export const memosIn = (text: string): string[] => text.split('; ').map((part) => part.replace(/^\[\d+\] /, ''))
