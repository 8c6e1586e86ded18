// The batches as they are in the database, and each move of theirs as one transaction together with its money.
import type { Kysely } from 'kysely'
import { accounts } from '../rewards/accounts.ts'
import { post, type Transfer } from '../rewards/ledger.ts'
import { sourceOf } from '../rewards/payees.ts'
import { moveBatch } from '../store/moves.ts'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import type { Attempt, OpenState } from './decide.ts'
import type { WriterLease } from './lease.ts'
import type { Payment, SignedPayout } from './payer.ts'

export interface Line {
  /** Of the payout, `{batch}/{k}`. */
  readonly id: string
  readonly payee: string
  readonly wallet: string
  readonly units: bigint
}

export interface OpenBatch extends Payment {
  readonly state: OpenState
  readonly lines: readonly Line[]
  /** What its newest attempt takes for the marker and for new token accounts. */
  readonly rentLamports: bigint
  /** Oldest first. */
  readonly attempts: readonly Attempt[]
}

/** Rents of the accounts that a signed transaction makes. */
export interface Rents {
  readonly marker: bigint
  /** By wallet; absent for a wallet that has its account. */
  readonly accounts: ReadonlyMap<string, bigint>
}

export interface PayoutBook {
  /** Oldest first. */
  open(): Promise<OpenBatch[]>
  /** Commits signature and bytes before anything is sent; false when another writer was first. */
  signed(batch: OpenBatch, signed: SignedPayout, rents: Rents): Promise<boolean>
  sent(batch: OpenBatch): Promise<void>
  confirmed(batch: OpenBatch): Promise<void>
  unconfirmed(batch: OpenBatch): Promise<void>
  expired(batch: OpenBatch): Promise<void>
  finalized(batch: OpenBatch): Promise<void>
  /** The money is payable again. `isFaulty`: something in the batch is at fault, so its payees are next paid alone. */
  failed(batch: OpenBatch, reason: string, isFaulty: boolean): Promise<void>
}

const CLOSED = ['finalized', 'failed'] as const

export async function readOpen(db: Kysely<Database>): Promise<OpenBatch[]> {
  const open = db.selectFrom('payout_batches').where('state', 'not in', CLOSED)
  const rows = await open.selectAll().orderBy('created_at').orderBy('id').execute()
  if (rows.length === 0) return []
  const ids = open.select('id')
  const lineRows = await db.selectFrom('payouts').selectAll().where('batch_id', 'in', ids).execute()
  const attemptRows = await db
    .selectFrom('payout_attempts')
    .selectAll()
    .where('batch_id', 'in', ids)
    .orderBy('attempt')
    .execute()
  const lines = Map.groupBy(lineRows, ({ batch_id }) => batch_id)
  const attempts = Map.groupBy(attemptRows, ({ batch_id }) => batch_id)
  return rows.map(({ id, memo, marker, marker_lamports, state }) => {
    const mine = lines.get(id) ?? []
    return {
      id,
      memo,
      marker,
      state: state as OpenState,
      rentLamports: BigInt(mine.reduce((sum, line) => sum + line.rent_lamports, marker_lamports)),
      lines: mine
        .map((line) => ({ id: line.id, payee: line.payee, wallet: line.wallet, units: line.amount_units }))
        .toSorted((a, b) => numberOf(a) - numberOf(b)),
      attempts: (attempts.get(id) ?? []).map(({ attempt, signature, wire, last_valid_block_height }) => ({
        attempt,
        signature,
        wire,
        lastValidBlockHeight: last_valid_block_height,
      })),
    }
  })
}

/** Its place in the batch, from its id; a payout from before there were batches is the only line of its own. */
const numberOf = ({ id }: Line): number => Number(id.slice(id.lastIndexOf('/') + 1)) || 0

const transit = (lines: readonly Line[], kind: 'paid' | 'payout-failed', at: number): Transfer[] =>
  lines.map(({ id, payee, units }) => ({
    kind,
    ref: id,
    from: accounts.inPayout(payee),
    to: kind === 'paid' ? accounts.paid(payee) : sourceOf(payee),
    amount: units,
    at,
  }))

/** What was withheld for token accounts that were not made after all goes back. */
async function feesReturned(trx: Kysely<Database>, lines: readonly Line[], at: number): Promise<Transfer[]> {
  const withheld = await trx
    .selectFrom('transfers')
    .select(['ref', 'from_account', 'amount_units'])
    .where('kind', '=', 'account-fee')
    .where(
      'ref',
      'in',
      lines.map(({ id }) => id),
    )
    .where('to_account', '=', accounts.operatorFees)
    .execute()
  return withheld.flatMap(({ ref, amount_units: amount }) => {
    const payee = lines.find(({ id }) => id === ref)?.payee
    if (payee === undefined) return []
    return [{ kind: 'account-fee', ref, from: accounts.operatorFees, to: sourceOf(payee), amount, at }]
  })
}

/** Within the caller's transaction; false when the batch is no longer as it was read. */
export async function failBatch(
  trx: Kysely<Database>,
  { id, state, lines, attempts }: OpenBatch,
  { reason, isFaulty, at }: { readonly reason: string; readonly isFaulty: boolean; readonly at: number },
): Promise<boolean> {
  const { count } = await trx
    .selectFrom('payout_attempts')
    .select((build) => build.fn.countAll<number>().as('count'))
    .where('batch_id', '=', id)
    .executeTakeFirstOrThrow()
  // Signed again meanwhile, by another console: what was known of it is out of date.
  if (count !== attempts.length) return false
  const patch = { updated_at: at, failure: reason, faulty: isFaulty ? 1 : 0 }
  if (!(await moveBatch(trx, id, state, 'failed', patch))) return false
  await post(trx, [...transit(lines, 'payout-failed', at), ...(await feesReturned(trx, lines, at))])
  return true
}

async function keepAttempt(
  trx: Kysely<Database>,
  batch: OpenBatch,
  { signature, wire, blockhash, lastValidBlockHeight }: SignedPayout,
  at: number,
): Promise<void> {
  await trx
    .insertInto('payout_attempts')
    .values({
      batch_id: batch.id,
      // The primary key is the last word: two writers cannot both make attempt n.
      attempt: batch.attempts.length + 1,
      signature,
      wire,
      blockhash,
      last_valid_block_height: lastValidBlockHeight,
      signed_at: at,
    })
    .execute()
}

/** The rent of an account stands in the line that makes it: the first of that wallet. */
async function keepRents(trx: Kysely<Database>, batch: OpenBatch, { accounts: made }: Rents): Promise<void> {
  const left = new Map(made)
  for (const { id, wallet } of batch.lines) {
    const rent = Number(left.get(wallet) ?? 0n)
    left.delete(wallet)
    await trx.updateTable('payouts').set({ rent_lamports: rent }).where('id', '=', id).execute()
  }
}

export function createPayoutBook(options: {
  readonly db: Kysely<Database>
  readonly lease: Pick<WriterLease, 'stillHeld'>
  readonly now: () => number
  readonly moved: (batch: string, state: PayoutState) => void
}): PayoutBook {
  const { db, lease, now, moved } = options

  /** The move and what belongs to it, committed together; then told. False when the row was not as expected. */
  const commit = async (
    { id }: OpenBatch,
    state: PayoutState,
    move: (trx: Kysely<Database>, at: number) => Promise<boolean>,
  ): Promise<boolean> => {
    const done = await db.transaction().execute((trx) => move(trx, now()))
    if (done) moved(id, state)
    return done
  }

  return {
    open: () => readOpen(db),
    signed: (batch, signed, rents) =>
      commit(batch, 'signed', async (trx, at) => {
        if (batch.state !== 'planned' && batch.state !== 'expired') return false
        if (!(await lease.stillHeld(trx))) return false
        const patch = { updated_at: at, marker_lamports: Number(rents.marker) }
        if (!(await moveBatch(trx, batch.id, batch.state, 'signed', patch))) return false
        await keepAttempt(trx, batch, signed, at)
        await keepRents(trx, batch, rents)
        return true
      }),
    async sent(batch) {
      await commit(batch, 'sent', (trx, at) => moveBatch(trx, batch.id, 'signed', 'sent', { updated_at: at }))
    },
    async confirmed(batch) {
      const { state } = batch
      if (state !== 'signed' && state !== 'sent') return
      await commit(batch, 'confirmed', (trx, at) => moveBatch(trx, batch.id, state, 'confirmed', { updated_at: at }))
    },
    async unconfirmed(batch) {
      await commit(batch, 'sent', (trx, at) => moveBatch(trx, batch.id, 'confirmed', 'sent', { updated_at: at }))
    },
    async expired(batch) {
      const { state } = batch
      if (state !== 'signed' && state !== 'sent') return
      await commit(batch, 'expired', (trx, at) => moveBatch(trx, batch.id, state, 'expired', { updated_at: at }))
    },
    async finalized(batch) {
      const { state } = batch
      if (state === 'planned') return
      await commit(batch, 'finalized', async (trx, at) => {
        if (!(await moveBatch(trx, batch.id, state, 'finalized', { updated_at: at }))) return false
        await post(trx, transit(batch.lines, 'paid', at))
        return true
      })
    },
    async failed(batch, reason, isFaulty) {
      await commit(batch, 'failed', (trx, at) => failBatch(trx, batch, { reason, isFaulty, at }))
    },
  }
}
