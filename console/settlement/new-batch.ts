// Writes a batch down: its name, its marker and memo, its lines, and the transfers that claim their money.
import type { Kysely } from 'kysely'
import { accounts } from '../rewards/accounts.ts'
import { newestHead } from '../rewards/epochs.ts'
import { post, type Transfer } from '../rewards/ledger.ts'
import { type Payee, sourceOf } from '../rewards/payees.ts'
import type { Database } from '../store/schema.ts'
import { memoOf } from './memo.ts'
import type { PayoutChain, Share } from './payer.ts'

export interface Claim extends Share {
  readonly payee: Payee
  /** Withheld for the wallet's new token account. */
  readonly fee: bigint
}

interface Names {
  readonly nextId: () => string
  readonly memoOf: (id: string) => string
}

/**
 * Ids go on after the highest one of the epoch, also after those found on the chain: a database restored from a backup must
 * not give another batch the same name.
 */
export async function namesOf(trx: Kysely<Database>, epoch: number): Promise<Names> {
  const start = `e${epoch}-`
  const rows = await trx
    .selectFrom('payout_batches')
    .select('id')
    .where('id', '>=', start)
    // The character after '-'.
    .where('id', '<', `e${epoch}.`)
    .execute()
  let highest = 0
  for (const { id } of rows) highest = Math.max(highest, Number.parseInt(id.slice(start.length), 10) || 0)
  const head = await newestHead(trx)
  return { nextId: () => `${start}${++highest}`, memoOf: (id) => memoOf(id, head) }
}

interface BatchOptions extends Names {
  readonly epoch: number
  readonly now: number
  readonly chain: Pick<PayoutChain, 'markerOf'>
}

export async function planBatch(
  trx: Kysely<Database>,
  claims: readonly Claim[],
  options: BatchOptions,
): Promise<string> {
  const { epoch, now } = options
  const id = options.nextId()
  const batch = {
    id,
    epoch_id: epoch,
    memo: options.memoOf(id),
    marker: options.chain.markerOf(id),
    marker_lamports: 0,
  }
  const dates = { created_at: now, updated_at: now, failure: null, adopted_at: null, reclaimed_at: null }
  await trx
    .insertInto('payout_batches')
    .values({ ...batch, ...dates, state: 'planned' })
    .execute()
  const lines = claims.map((claim, index) => ({ ...claim, id: `${id}/${index + 1}` }))
  await trx
    .insertInto('payouts')
    .values(
      lines.map(({ id: line, payee, wallet, units }) => ({
        id: line,
        batch_id: id,
        payee,
        wallet,
        amount_units: units,
        rent_lamports: 0,
      })),
    )
    .execute()
  await post(
    trx,
    lines.flatMap((line) => transfersOf(line, now)),
  )
  return id
}

function transfersOf({ id, payee, units, fee }: Claim & { readonly id: string }, at: number): Transfer[] {
  const from = sourceOf(payee)
  const payout = { kind: 'payout', ref: id, from, to: accounts.inPayout(payee), amount: units, at } as const
  if (fee === 0n) return [payout]
  return [payout, { kind: 'account-fee', ref: id, from, to: accounts.operatorFees, amount: fee, at }]
}
