// Claims what owners may be paid: within one transaction their payable money moves into payouts whose sums are frozen.
import type { Kysely } from 'kysely'
import { accounts, holderOf } from '../rewards/accounts.ts'
import { post } from '../rewards/ledger.ts'
import type { Database } from '../store/schema.ts'
import { walletFault } from './solana.ts'

export interface PayableOwner {
  readonly owner: string
  /** Base units that are payable now. */
  readonly units: bigint
  readonly wallet: string | undefined
  /** Why this money is not paid out at the next settlement; undefined when it is. */
  readonly held: string | undefined
}

const heldBecause = (wallet: string | undefined, units: bigint, minimumUnits: bigint): string | undefined => {
  if (wallet === undefined) return 'no payout wallet is named'
  const fault = walletFault(wallet)
  if (fault !== undefined) return `the payout wallet cannot be paid: ${fault}`
  return units < minimumUnits ? `below the minimum payout: ${units} of ${minimumUnits} base units` : undefined
}

/** Every owner with payable money, and why it would stay where it is. */
export async function payableOwners(db: Kysely<Database>, minimumUnits: bigint): Promise<PayableOwner[]> {
  const rows = await db
    .selectFrom('accounts')
    .select(['id', 'balance_units'])
    .where('kind', '=', 'payable')
    .where('balance_units', '>', 0n)
    .orderBy('id')
    .execute()
  const owners = await db.selectFrom('owners').select(['id', 'wallet']).execute()
  const wallets = new Map(owners.map(({ id, wallet }) => [id, wallet ?? undefined]))
  return rows.map(({ id, balance_units: units }) => {
    const owner = holderOf(id)
    const wallet = wallets.get(owner)
    return { owner, units, wallet, held: heldBecause(wallet, units, minimumUnits) }
  })
}

/**
 * One payout per owner that may be paid, of all that is payable. The id says epoch, owner and which one of that epoch:
 * a database restored from a backup plans the same id, hence the same memo, again, and so can be found out.
 */
export async function planPayouts(
  trx: Kysely<Database>,
  options: { readonly epoch: number; readonly now: number; readonly minimumUnits: bigint },
): Promise<{ planned: string[]; held: PayableOwner[] }> {
  const { epoch, now } = options
  const owners = await payableOwners(trx, options.minimumUnits)
  const planned: string[] = []
  for (const { owner, units, wallet, held } of owners) {
    if (held !== undefined || wallet === undefined) continue
    const id = `e${epoch}-${owner}-${1 + (await earlier(trx, epoch, owner))}`
    await trx
      .insertInto('payouts')
      .values({
        id,
        epoch_id: epoch,
        owner_id: owner,
        wallet,
        amount_units: units,
        state: 'planned',
        memo: `bramble:${id}`,
        created_at: now,
        updated_at: now,
        failure: null,
      })
      .execute()
    const [from, to] = [accounts.payable(owner), accounts.inPayout(owner)]
    await post(trx, [{ kind: 'payout', ref: id, from, to, amount: units, at: now }])
    planned.push(id)
  }
  return { planned, held: owners.filter(({ held }) => held !== undefined) }
}

async function earlier(trx: Kysely<Database>, epoch: number, owner: string): Promise<number> {
  const { count } = await trx
    .selectFrom('payouts')
    .select((build) => build.fn.countAll<number>().as('count'))
    .where('epoch_id', '=', epoch)
    .where('owner_id', '=', owner)
    .executeTakeFirstOrThrow()
  return count
}
