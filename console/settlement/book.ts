// The payouts as they are in the database, and each move of theirs as one transaction together with its money.
import type { Kysely } from 'kysely'
import { accounts } from '../rewards/accounts.ts'
import { post } from '../rewards/ledger.ts'
import { movePayout } from '../store/moves.ts'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import type { Attempt, OpenState } from './decide.ts'
import type { WriterLease } from './lease.ts'
import type { SignedPayout } from './payer.ts'

export interface OpenPayout {
  readonly id: string
  readonly owner: string
  readonly wallet: string
  readonly units: bigint
  readonly memo: string
  readonly state: OpenState
  /** Oldest first. */
  readonly attempts: readonly Attempt[]
}

export interface PayoutBook {
  /** Oldest first. */
  open(): Promise<OpenPayout[]>
  /** Commits signature and bytes before anything is sent; false when another writer was first. */
  signed(payout: OpenPayout, signed: SignedPayout): Promise<boolean>
  sent(payout: OpenPayout): Promise<void>
  confirmed(payout: OpenPayout): Promise<void>
  unconfirmed(payout: OpenPayout): Promise<void>
  expired(payout: OpenPayout): Promise<void>
  finalized(payout: OpenPayout): Promise<void>
  failed(payout: OpenPayout, reason: string): Promise<void>
}

const CLOSED = ['finalized', 'failed'] as const

async function readOpen(db: Kysely<Database>): Promise<OpenPayout[]> {
  const rows = await db
    .selectFrom('payouts')
    .selectAll()
    .where('state', 'not in', CLOSED)
    .orderBy('created_at')
    .orderBy('id')
    .execute()
  const attempts = Map.groupBy(await readAttempts(db), ({ payout_id }) => payout_id)
  return rows.map((row) => ({
    id: row.id,
    owner: row.owner_id,
    wallet: row.wallet,
    units: row.amount_units,
    memo: row.memo,
    state: row.state as OpenState,
    attempts: (attempts.get(row.id) ?? []).map(({ attempt, signature, wire, last_valid_block_height }) => ({
      attempt,
      signature,
      wire,
      lastValidBlockHeight: last_valid_block_height,
    })),
  }))
}

const readAttempts = (db: Kysely<Database>) =>
  db
    .selectFrom('payout_attempts')
    .innerJoin('payouts', 'payouts.id', 'payout_attempts.payout_id')
    .selectAll('payout_attempts')
    .where('payouts.state', 'not in', CLOSED)
    .orderBy('attempt')
    .execute()

const inTransit = ({ id, owner, units }: OpenPayout, at: number) =>
  ({ ref: id, from: accounts.inPayout(owner), amount: units, at }) as const

export function createPayoutBook(options: {
  readonly db: Kysely<Database>
  readonly lease: WriterLease
  readonly now: () => number
  readonly moved: (payout: string, state: PayoutState) => void
}): PayoutBook {
  const { db, lease, now, moved } = options

  /** The move and what belongs to it, committed together; then told. False when the row was not as expected. */
  const commit = async (
    { id }: OpenPayout,
    state: PayoutState,
    move: (trx: Kysely<Database>, at: number) => Promise<boolean>,
  ): Promise<boolean> => {
    const done = await db.transaction().execute((trx) => move(trx, now()))
    if (done) moved(id, state)
    return done
  }

  return {
    open: () => readOpen(db),
    signed: (payout, { signature, wire, blockhash, lastValidBlockHeight }) =>
      commit(payout, 'signed', async (trx, at) => {
        if (payout.state !== 'planned' && payout.state !== 'expired') return false
        if (!(await lease.stillHeld(trx))) return false
        if (!(await movePayout(trx, payout.id, payout.state, 'signed', { updated_at: at }))) return false
        await trx
          .insertInto('payout_attempts')
          .values({
            payout_id: payout.id,
            // The primary key is the last word: two writers cannot both make attempt n.
            attempt: payout.attempts.length + 1,
            signature,
            wire,
            blockhash,
            last_valid_block_height: lastValidBlockHeight,
            signed_at: at,
          })
          .execute()
        return true
      }),
    async sent(payout) {
      await commit(payout, 'sent', (trx, at) => movePayout(trx, payout.id, 'signed', 'sent', { updated_at: at }))
    },
    async confirmed(payout) {
      const { state } = payout
      if (state !== 'signed' && state !== 'sent') return
      await commit(payout, 'confirmed', (trx, at) => movePayout(trx, payout.id, state, 'confirmed', { updated_at: at }))
    },
    async unconfirmed(payout) {
      await commit(payout, 'sent', (trx, at) => movePayout(trx, payout.id, 'confirmed', 'sent', { updated_at: at }))
    },
    async expired(payout) {
      const { state } = payout
      if (state !== 'signed' && state !== 'sent') return
      await commit(payout, 'expired', (trx, at) => movePayout(trx, payout.id, state, 'expired', { updated_at: at }))
    },
    async finalized(payout) {
      const { state } = payout
      if (state === 'planned') return
      await commit(payout, 'finalized', async (trx, at) => {
        if (!(await movePayout(trx, payout.id, state, 'finalized', { updated_at: at }))) return false
        await post(trx, [{ kind: 'paid', to: accounts.paid(payout.owner), ...inTransit(payout, at) }])
        return true
      })
    },
    async failed(payout, reason) {
      await commit(payout, 'failed', async (trx, at) => {
        if (!(await movePayout(trx, payout.id, payout.state, 'failed', { updated_at: at, failure: reason })))
          return false
        await post(trx, [{ kind: 'payout-failed', to: accounts.payable(payout.owner), ...inTransit(payout, at) }])
        return true
      })
    },
  }
}
