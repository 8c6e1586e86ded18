// Carries out one step of a lookup table. What is sent is in the database before, so that a console that dies here knows of it.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import { moveTable } from '../../store/moves.ts'
import type { Database } from '../../store/schema.ts'
import { ChainError } from '../chain-error.ts'
import type { WriterLease } from '../lease.ts'
import type { PayoutChain, SignedPayout } from '../payer.ts'
import type { ShelfTable, TableStep } from './step.ts'
import type { TableOrder } from './table-chain.ts'

/** Stays with whoever pays the fees, whatever tables cost: fees and markers of a hundred transactions. */
const RESERVE_LAMPORTS = 100_000_000n

export interface ActOptions {
  readonly db: Kysely<Database>
  readonly chain: Pick<
    PayoutChain,
    'tableAt' | 'tableRents' | 'signTable' | 'feeLamports' | 'lifetime' | 'funds' | 'send'
  >
  readonly lease: Pick<WriterLease, 'stillHeld'>
  readonly now: () => number
  readonly log: Logger
}

export function createTableActs({ db, chain, lease, now, log }: ActOptions) {
  const end = async (table: ShelfTable, why: string, to: 'leaving' | 'closed'): Promise<void> => {
    const patch = { why, updated_at: now() }
    const isDone = await db.transaction().execute(async (trx) => {
      if (!(await lease.stillHeld(trx))) return false
      return to === 'closed'
        ? moveTable(trx, table.id, table.state, to, patch)
        : moveTable(trx, table.id, 'growing', to, patch)
    })
    if (isDone) log.info({ table: table.address, state: to, why }, 'a lookup table is given up')
  }

  /** False when another console was there first. */
  const noted = (table: ShelfTable, order: TableOrder, { lastValidBlockHeight }: SignedPayout): Promise<boolean> =>
    db.transaction().execute(async (trx) => {
      if (!(await lease.stillHeld(trx))) return false
      const added = order.do === 'make' || order.do === 'extend' ? order.accounts.length : 0
      const patch = { address: order.address, sent: table.seen + added, sent_until: lastValidBlockHeight }
      const { numUpdatedRows } = await trx
        .updateTable('lookup_tables')
        .set({ ...patch, updated_at: now() })
        .where('id', '=', table.id)
        .where('state', '=', table.state)
        .where('sent_until', '=', table.sentUntil)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    })

  const send = async (table: ShelfTable, order: TableOrder): Promise<void> => {
    const signed = chain.signTable(order, await chain.lifetime())
    if (!(await noted(table, order, signed))) return
    log.info({ table: order.address, do: order.do, signature: signed.signature }, 'a lookup table is seen to')
    try {
      await chain.send(signed.wire)
    } catch (error) {
      // It may land all the same; the next look tells.
      if (!(error instanceof ChainError)) throw error
      log.warn({ table: order.address, err: error }, 'the RPC did not take what was sent for a lookup table')
    }
  }

  const canAfford = async (accounts: number): Promise<boolean> => {
    const { lamports } = await chain.funds([])
    const { table, address } = await chain.tableRents()
    return lamports - table - address * BigInt(accounts) - chain.feeLamports >= RESERVE_LAMPORTS
  }

  const make = async (table: ShelfTable, accounts: readonly string[], slot: number): Promise<void> => {
    const address = chain.tableAt(slot)
    // Two tables of one slot would be one.
    const taken = db.selectFrom('lookup_tables').select('id').where('address', '=', address)
    if (await taken.executeTakeFirst()) return
    await send(table, { do: 'make', slot, address, accounts })
  }

  return {
    leave: (table: ShelfTable, why: string): Promise<void> => end(table, why, 'leaving'),
    /** `slot`: the finalized one. */
    async act(table: ShelfTable, step: TableStep, slot: number): Promise<void> {
      const { address = '' } = table
      if (step.do === 'leave') await end(table, step.why, 'leaving')
      if (step.do === 'forget') await end(table, step.why, 'closed')
      if (step.do === 'deactivate' || step.do === 'close') await send(table, { do: step.do, address })
      if ((step.do !== 'make' && step.do !== 'extend') || !(await canAfford(step.accounts.length))) return
      if (step.do === 'make') await make(table, step.accounts, slot)
      else await send(table, { ...step, address })
    },
  }
}
