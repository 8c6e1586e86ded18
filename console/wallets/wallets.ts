// Where payees are paid: the registered wallet of each, read by whoever plans a payment.
import type { Kysely } from 'kysely'
import type { Payee } from '../rewards/payees.ts'
import type { Database } from '../store/schema.ts'

/** Undefined while none is registered. */
export async function walletOf(db: Kysely<Database>, payee: Payee): Promise<string | undefined> {
  const row = await db.selectFrom('wallets').select('address').where('payee', '=', payee).executeTakeFirst()
  return row?.address
}

export async function allWallets(db: Kysely<Database>): Promise<ReadonlyMap<Payee, string>> {
  const rows = await db.selectFrom('wallets').select(['payee', 'address']).execute()
  return new Map(rows.map(({ payee, address }) => [payee, address]))
}

const BY_OPERATOR = 'operator'

/** Whether its wallet is there by the operator's word alone. */
export const isNamed = async (db: Kysely<Database>, payee: Payee): Promise<boolean> =>
  (await db
    .selectFrom('wallets')
    .select('payee')
    .where('payee', '=', payee)
    .where('proof', '=', BY_OPERATOR)
    .executeTakeFirst()) !== undefined

/** By the operator's own word, unchecked (registration.ts checks). A wallet that was registered by its signature stays. */
export async function nameWallet(db: Kysely<Database>, payee: Payee, address: string, now: number): Promise<void> {
  await db
    .insertInto('wallets')
    .values({ payee, address, since: now, proof: BY_OPERATOR })
    .onConflict((conflict) =>
      conflict.column('payee').doUpdateSet({ address, since: now }).where('wallets.proof', '=', BY_OPERATOR),
    )
    .execute()
}
