// Who may sign and send payouts now: one row, held for a short time, renewed by its holder, taken over after it ended.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'

/** Longer than a turn with a slow RPC; a dead console's work is taken over after this. */
const LEASE_MS = 30_000
const NAME = 'payouts'

export interface WriterLease {
  /** Takes or renews it; false while another holds it. */
  hold(): Promise<boolean>
  /** Within the transaction of a signature: whether the lease still holds at that very moment. */
  stillHeld(trx: Kysely<Database>): Promise<boolean>
  release(): Promise<void>
}

export function createWriterLease(options: {
  readonly db: Kysely<Database>
  readonly holder: string
  readonly now: () => number
}): WriterLease {
  const { db, holder, now } = options
  let until = 0
  return {
    async hold() {
      const at = now()
      // Not every turn needs to write.
      if (until - at > LEASE_MS / 2) return true
      const wanted = at + LEASE_MS
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('writer_leases')
        .values({ name: NAME, holder, until: wanted })
        .onConflict((conflict) =>
          conflict
            .column('name')
            .doUpdateSet({ holder, until: wanted })
            .where((build) =>
              build.or([build('writer_leases.holder', '=', holder), build('writer_leases.until', '<=', at)]),
            ),
        )
        .executeTakeFirst()
      until = numInsertedOrUpdatedRows === 1n ? wanted : 0
      return until > 0
    },
    async stillHeld(trx) {
      const row = await trx
        .selectFrom('writer_leases')
        .select('until')
        .where('name', '=', NAME)
        .where('holder', '=', holder)
        .where('until', '>', now())
        .executeTakeFirst()
      if (!row) until = 0
      return row !== undefined
    },
    async release() {
      until = 0
      await db.deleteFrom('writer_leases').where('name', '=', NAME).where('holder', '=', holder).execute()
    },
  }
}
