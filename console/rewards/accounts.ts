// The accounts of the ledger: what money is doing, and whose it is, as one text id.

/** `outside` is the world beyond the ledger: it goes as far below zero as was ever deposited. */
export type AccountId =
  | 'outside'
  | 'fee:operator'
  | `${'budget' | 'reserved'}:${string}`
  | `${'pending' | 'payable' | 'in-payout' | 'paid'}:${string}`
  | `royalty:${string}`

export const ACCOUNT_KINDS = [
  'outside',
  'budget',
  'reserved',
  'pending',
  'payable',
  'fee',
  'royalty',
  'in-payout',
  'paid',
] as const
export type AccountKind = (typeof ACCOUNT_KINDS)[number]

export const accounts = {
  outside: 'outside',
  operatorFees: 'fee:operator',
  /** A requester's money, free to spend. */
  budget: (requester: string): AccountId => `budget:${requester}`,
  /** Set aside for tasks accepted and not yet settled. */
  reserved: (requester: string): AccountId => `reserved:${requester}`,
  /** Earned by an owner, in the hold. */
  pending: (owner: string): AccountId => `pending:${owner}`,
  /** Earned by an owner, out of the hold. */
  payable: (owner: string): AccountId => `payable:${owner}`,
  /** In a payout that is planned or on its way. */
  inPayout: (owner: string): AccountId => `in-payout:${owner}`,
  /** Left for the owner's wallet, for good. */
  paid: (owner: string): AccountId => `paid:${owner}`,
  royalty: (publisher: string): AccountId => `royalty:${publisher}`,
} as const

const isKind = (text: string): text is AccountKind => ACCOUNT_KINDS.some((kind) => kind === text)

/** The kind named before the first colon. Throws RangeError for an id that is none of ours: a bug of the caller. */
export function kindOf(account: string): AccountKind {
  const [kind = ''] = account.split(':', 1)
  if (!isKind(kind)) throw new RangeError(`not an account: "${account}"`)
  return kind
}

/** Whose account it is: requester, owner or publisher id; empty for `outside`. */
export const holderOf = (account: string): string => account.slice(kindOf(account).length + 1)
