// The lookup tables of the treasury as they are in the database. A row says what was to be written; nothing is paid through a
// table on its word alone.
import type { Kysely } from 'kysely'
import type { Database } from '../../store/schema.ts'
import { isAsWritten, type ShelfTable } from './step.ts'
import { type LookupTable, MAX_ADDRESSES, type TableSight } from './table-chain.ts'

type Trx = Kysely<Database>

/** Those that are not closed, oldest first. */
export async function readShelf(db: Trx): Promise<ShelfTable[]> {
  const open = db.selectFrom('lookup_tables').where('state', '!=', 'closed')
  const rows = await open.selectAll().orderBy('id').execute()
  if (rows.length === 0) return []
  const listed = await db
    .selectFrom('lookup_accounts')
    .selectAll()
    .where('table_id', 'in', open.select('id'))
    .orderBy('table_id')
    .orderBy('idx')
    .execute()
  const byTable = Map.groupBy(listed, ({ table_id }) => table_id)
  return rows.map(({ id, address, state, seen, sent, sent_until, created_at, updated_at }) => {
    const mine = byTable.get(id) ?? []
    return {
      id,
      address: address ?? undefined,
      state: state === 'growing' ? 'growing' : 'leaving',
      accounts: mine.map(({ account }) => account),
      wallets: mine.map(({ wallet }) => wallet),
      seen,
      sent,
      sentUntil: sent_until,
      createdAt: created_at,
      updatedAt: updated_at,
    }
  })
}

/**
 * The tables that a payment can go through: rows and chain must agree, so that neither a row that is wrong nor a node that
 * lies can put another account at an index. What the chain lists is what is answered.
 */
export const usableTables = (
  shelf: readonly ShelfTable[],
  found: ReadonlyMap<string, TableSight>,
): readonly LookupTable[] =>
  shelf.flatMap(({ address, state, accounts }) => {
    const table = address === undefined ? undefined : found.get(address)
    if (address === undefined || table === undefined || state !== 'growing') return []
    const isGood = table.isOurs && table.deactivatedAt === undefined && isAsWritten(table, accounts)
    return isGood && table.usable > 0 ? [{ address, addresses: table.addresses.slice(0, table.usable) }] : []
  })

export interface Listing {
  readonly wallet: string
  readonly account: string
}

async function addTable(trx: Trx, at: number): Promise<number> {
  const { id } = await trx
    .insertInto('lookup_tables')
    .values({
      state: 'growing',
      address: null,
      seen: 0,
      sent: 0,
      sent_until: 0,
      why: null,
      created_at: at,
      updated_at: at,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

/** Lists these accounts in tables that have room, and in new ones; what is listed already is left out. */
export async function list(trx: Trx, listings: readonly Listing[], at: number): Promise<number> {
  const growing = (await readShelf(trx)).filter(({ state }) => state === 'growing')
  const known = new Set(growing.flatMap(({ accounts }) => accounts))
  const wanted = listings.filter(({ account }) => !known.has(account))
  const rooms = growing.map(({ id, accounts }) => ({ id, from: accounts.length }))
  for (let done = 0; done < wanted.length; ) {
    const { id, from } = rooms.shift() ?? { id: await addTable(trx, at), from: 0 }
    const part = wanted.slice(done, done + MAX_ADDRESSES - from)
    const rows = part.map((one, index) => ({ ...one, table_id: id, idx: from + index }))
    if (rows.length > 0) await trx.insertInto('lookup_accounts').values(rows).execute()
    await trx.updateTable('lookup_tables').set({ updated_at: at }).where('id', '=', id).execute()
    done += part.length
  }
  return wanted.length
}

/** Puts tables on the shelf that only the chain knows: nobody can say what was meant to be in them, so they go. */
export async function takeIn(trx: Trx, addresses: readonly string[], at: number): Promise<void> {
  const common = { state: 'leaving', seen: 0, sent: 0, sent_until: 0, created_at: at, updated_at: at } as const
  const why = 'this database did not know it'
  await trx
    .insertInto('lookup_tables')
    .values(addresses.map((address) => ({ ...common, address, why })))
    .execute()
}
