// Whom money is paid to: owners of boards, requesters who withdraw, publishers with royalties, the operator with its fees. An owner
// is named by its bare id, the others by what they are and their id; ids hold no slash, so no two payees share a name.
import { type AccountId, accounts } from './accounts.ts'

export type Payee = string

export const requesterPayee = (requester: string): Payee => `requester/${requester}`
export const publisherPayee = (publisher: string): Payee => `publisher/${publisher}`
/** The operator, as far as it takes its fees out; whoever owns boards beside is an owner like any other. */
export const OPERATOR_FEES: Payee = 'operator/fees'
/** Somebody whom the chain paid and this database does not know: it came from a backup. */
export const lostPayee = (address: string): Payee => `lost/${address}`
/** What the chain paid to such an address, taken as a loss by the operator. */
export const writtenOffPayee = (address: string): Payee => `written-off/${address}`

/** The account that a payee is paid from; nothing ever lies in that of a lost or written-off one. */
export function sourceOf(payee: Payee): AccountId {
  const [kind = '', id] = payee.split('/')
  if (id === undefined) return accounts.payable(kind)
  if (kind === 'requester') return accounts.budget(id)
  if (kind === 'publisher') return accounts.royalty(id)
  if (payee === OPERATOR_FEES) return accounts.operatorFees
  if (kind === 'lost' || kind === 'written-off') return accounts.payable(payee)
  throw new RangeError(`not a payee: "${payee}"`)
}
