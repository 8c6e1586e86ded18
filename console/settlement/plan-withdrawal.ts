// Claims what a requester takes out of its budget.
import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { openEpoch } from '../rewards/epochs.ts'
import { requesterPayee } from '../rewards/payees.ts'
import type { Database } from '../store/schema.ts'
import { namesOf, planBatch } from './new-batch.ts'
import type { PayoutChain } from './payer.ts'
import type { PlanSettings } from './plan.ts'
import { accountTerms, payeesWithRent } from './rent.ts'

export interface Withdrawal {
  readonly requester: string
  /** The requester's own name for it. */
  readonly requestId: string
  readonly units: bigint
  readonly wallet: string
  /** Whether the wallet has its token account. */
  readonly hasAccount: boolean
}

/** A withdrawal that costs more than it brings. */
export class WithdrawalError extends Error {
  override readonly name = 'WithdrawalError'
  readonly code: 'too-small' | 'no-account'

  constructor(code: WithdrawalError['code'], message: string) {
    super(message)
    this.code = code
  }
}

interface WithdrawalOptions extends PlanSettings {
  readonly now: number
  readonly chain: Pick<PayoutChain, 'markerOf'>
}

/** 132 bits. */
const NAME_CHARACTERS = 22

/**
 * The batch of a withdrawal is named after what it is, and so is its marker: also a database that has forgotten it cannot pay it
 * out twice.
 */
export function withdrawalName({ requester, requestId }: Pick<Withdrawal, 'requester' | 'requestId'>): string {
  const whole = JSON.stringify([requester, requestId])
  return `w-${createHash('sha256').update(whole).digest('base64url').slice(0, NAME_CHARACTERS)}`
}

/**
 * A batch of one line, out of a requester's budget, under its own name: once only; the fee for a new token account comes out of
 * the units. Throws WithdrawalError, and LedgerError `insufficient` when the budget holds less: what is reserved cannot be
 * withdrawn.
 */
export async function planWithdrawal(
  trx: Kysely<Database>,
  { requester, requestId, units: asked, wallet, hasAccount }: Withdrawal,
  { now, chain, minimumUnits, accountFeeUnits: feeUnits }: WithdrawalOptions,
): Promise<string> {
  const payee = requesterPayee(requester)
  const hadRent = !hasAccount && (await payeesWithRent(trx, [payee])).has(payee)
  const terms = accountTerms({ payee, wallet, hasAccount, hadRent, feeUnits })
  if ('why' in terms) throw new WithdrawalError('no-account', terms.why)
  const units = asked - terms.fee
  if (units < minimumUnits) {
    const fee = terms.fee === 0n ? '' : ` and ${terms.fee} for a new token account`
    throw new WithdrawalError('too-small', `${asked} base units are less than the minimum of ${minimumUnits}${fee}`)
  }
  const epoch = await openEpoch(trx, now)
  const claim = { payee, wallet, units, fee: terms.fee }
  const nextId = () => withdrawalName({ requester, requestId })
  return planBatch(trx, [claim], { epoch, now, chain, ...(await namesOf(trx, epoch)), nextId })
}
