// Who bears the rent of a wallet's token account. It is lent by the chain to whoever closes the account again, so a payee for whom
// it was paid once and whose account is gone could take it time after time: that payee opens the next one itself, or pays the fee.
import type { Kysely } from 'kysely'
import { accounts } from '../rewards/accounts.ts'
import { OPERATOR_FEES, type Payee } from '../rewards/payees.ts'
import type { Database } from '../store/schema.ts'

const PAYEES_PER_QUERY = 1_000

/** Of these, the ones for whom a final payout made a token account, in whatever wallet. */
export async function payeesWithRent(trx: Kysely<Database>, payees: readonly Payee[]): Promise<ReadonlySet<Payee>> {
  const found = new Set<Payee>()
  for (let at = 0; at < payees.length; at += PAYEES_PER_QUERY) {
    const rows = await trx
      .selectFrom('payouts')
      .innerJoin('payout_batches', 'payout_batches.id', 'payouts.batch_id')
      .select('payouts.payee')
      .distinct()
      .where('payouts.payee', 'in', payees.slice(at, at + PAYEES_PER_QUERY))
      .where('payouts.rent_lamports', '>', 0)
      .where('payout_batches.state', '=', 'finalized')
      .execute()
    for (const { payee } of rows) found.add(payee)
  }
  return found
}

/** Withheld for accounts that open batches are to make: it returns to its payees where a batch fails, so nobody may take it before. */
export async function feesThatMayGoBack(db: Kysely<Database>): Promise<bigint> {
  const { sum_units } = await db
    .selectFrom('payout_batches')
    .innerJoin('payouts', 'payouts.batch_id', 'payout_batches.id')
    .innerJoin('transfers', 'transfers.ref', 'payouts.id')
    .select((eb) => eb.fn.coalesce(eb.fn.sum<bigint>('transfers.amount_units'), eb.lit(0)).as('sum_units'))
    .where('payout_batches.state', 'not in', ['finalized', 'failed'])
    .where('transfers.kind', '=', 'account-fee')
    .where('transfers.to_account', '=', accounts.operatorFees)
    .executeTakeFirstOrThrow()
  return BigInt(sum_units)
}

export interface AccountFacts {
  readonly payee: Payee
  readonly wallet: string
  readonly hasAccount: boolean
  /** Its rent was paid for this payee before. */
  readonly hadRent: boolean
  readonly feeUnits: bigint
}

/** What is withheld for the account that must be made, 0 where none is or the operator bears it; or why none is made. */
export function accountTerms(facts: AccountFacts): { readonly fee: bigint } | { readonly why: string } {
  const { payee, wallet, hasAccount, hadRent, feeUnits } = facts
  // The operator's own payout costs the operator's own rent.
  if (hasAccount || payee === OPERATOR_FEES) return { fee: 0n }
  if (feeUnits > 0n || !hadRent) return { fee: feeUnits }
  return {
    why:
      `${wallet} has no account of the token, and the rent of one was paid for ${payee} before: ` +
      'open it in that wallet (its associated token account) to be paid',
  }
}
