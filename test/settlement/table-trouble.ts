// What befalls the lookup tables of a treasury in the histories: somebody else with its key, and rows that are wrong.
import { AddressLookupTableProgram, Keypair, PublicKey } from '@solana/web3.js'
import { encodeBase58 } from '../../console/settlement/base58.ts'
import { parseTransaction } from '../../console/settlement/local-chain/message.ts'
import type { Lab } from './lab.ts'
import type { World } from './payout-world.ts'

const PROGRAM = AddressLookupTableProgram.programId.toBase58()
const AUTHORITY_AT = 22

/** Tables of this world's treasury that are on the chain. */
export const tablesOnChain = (lab: Lab, { treasury }: Pick<World, 'treasury'>): string[] =>
  [...lab.chain.programAccounts(PROGRAM)]
    .filter(([, { data }]) => encodeBase58(data.subarray(AUTHORITY_AT, AUTHORITY_AT + 32)) === treasury.address)
    .map(([address]) => address)

const TROUBLES = ['deactivate', 'extend', 'swap', 'stranger'] as const

/** One of them; nothing where there is no table. */
export async function meddle(lab: Lab, world: World, random: () => number): Promise<void> {
  const addresses = tablesOnChain(lab, world)
  const address = addresses[Math.floor(random() * addresses.length)]
  const trouble = TROUBLES[Math.floor(random() * TROUBLES.length)]
  if (address === undefined) return
  const key = Keypair.fromSecretKey(world.treasury.secretKey)
  const at = { lookupTable: new PublicKey(address), authority: key.publicKey }
  const { db } = world.store
  const row = await db.selectFrom('lookup_tables').select('id').where('address', '=', address).executeTakeFirst()
  const change = db.updateTable('lookup_accounts').where('table_id', '=', row?.id ?? 0)
  // Whatever fails on the chain (it was deactivated before) leaves it as it was.
  try {
    if (trouble === 'deactivate') lab.submit([AddressLookupTableProgram.deactivateLookupTable(at)], [key])
    if (trouble === 'extend') {
      const addresses = [Keypair.generate().publicKey]
      lab.submit([AddressLookupTableProgram.extendLookupTable({ ...at, payer: key.publicKey, addresses })], [key])
    }
  } catch (error) {
    if (!/InstructionError|instruction|simulation failed/i.test(String(error))) throw error
  }
  if (trouble === 'stranger')
    await change.set({ account: Keypair.generate().publicKey.toBase58() }).where('idx', '=', 0).execute()
  if (trouble === 'swap') {
    const rows = await db
      .selectFrom('lookup_accounts')
      .selectAll()
      .where('table_id', '=', row?.id ?? 0)
      .execute()
    for (const { idx, account } of rows)
      await change
        .set({ account: rows.find((one) => one.idx === (idx ^ 1))?.account ?? account })
        .where('idx', '=', idx)
        .execute()
  }
}

/** Batches that were paid by a transaction of version 0. */
export async function paidThrough({ store }: World): Promise<number> {
  const rows = await store.db
    .selectFrom('payout_attempts as a')
    .innerJoin('payout_batches as b', 'b.id', 'a.batch_id')
    .select(['a.batch_id', 'a.wire'])
    .where('b.state', '=', 'finalized')
    .execute()
  const through = rows.filter(({ wire }) => parseTransaction(wire).version === 0)
  return new Set(through.map(({ batch_id }) => batch_id)).size
}
