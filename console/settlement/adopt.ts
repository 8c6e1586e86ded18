// Takes a payout into the database that only the chain knows: its lines are what the wallets got, its money comes from what is
// payable to the same payees, and what exceeds that is booked as it is.
import type { Kysely } from 'kysely'
import { accounts } from '../rewards/accounts.ts'
import { closeEpoch, openEpoch } from '../rewards/epochs.ts'
import { balanceOf, post, type Transfer } from '../rewards/ledger.ts'
import { lostPayee, type Payee, sourceOf } from '../rewards/payees.ts'
import type { Database } from '../store/schema.ts'
import { batchOfMemo } from './memo.ts'
import type { ChainTransfer, PayoutChain, Share } from './payer.ts'

type Trx = Kysely<Database>

export interface Adopted extends Share {
  readonly payee: Payee
  /** What is payable here of it. */
  readonly owed: bigint
}

export const least = (a: bigint, b: bigint): bigint => (a < b ? a : b)

/** Payees by address, those of today before those of the past. */
async function payeesByAddress(trx: Trx): Promise<Map<string, Payee[]>> {
  const today = await trx.selectFrom('wallets').select(['address', 'payee']).orderBy('payee').execute()
  const past = await trx
    .selectFrom('wallet_changes')
    .select(['address', 'payee'])
    .where('state', '=', 'done')
    .orderBy('id', 'desc')
    .execute()
  const payees = new Map<string, Payee[]>()
  for (const { address, payee } of [...today, ...past]) {
    const known = payees.get(address) ?? []
    if (!known.includes(payee)) payees.set(address, [...known, payee])
  }
  return payees
}

/** Of several payees with one wallet, the first that is owed enough. */
async function payeeOf(trx: Trx, candidates: readonly Payee[], { wallet, units }: Share): Promise<Payee> {
  for (const payee of candidates) if ((await balanceOf(trx, sourceOf(payee))) >= units) return payee
  return candidates[0] ?? lostPayee(wallet)
}

async function linesOf(trx: Trx, received: readonly Share[]): Promise<Adopted[]> {
  const payees = await payeesByAddress(trx)
  const lines = new Map<Payee, Adopted>()
  for (const share of received) {
    const payee = await payeeOf(trx, payees.get(share.wallet) ?? [], share)
    const units = share.units + (lines.get(payee)?.units ?? 0n)
    const owed = least(units, await balanceOf(trx, sourceOf(payee)))
    lines.set(payee, { payee, wallet: share.wallet, units, owed })
  }
  return [...lines.values()]
}

/** `ref`: the line of the batch. */
export function transfersOf({ payee, units, owed }: Omit<Adopted, 'wallet'>, ref: string, at: number): Transfer[] {
  const [inPayout, paid] = [accounts.inPayout(payee), accounts.paid(payee)]
  const known: Transfer[] =
    owed === 0n
      ? []
      : [
          { kind: 'payout', ref, from: sourceOf(payee), to: inPayout, amount: owed, at },
          { kind: 'paid', ref, from: inPayout, to: paid, amount: owed, at },
        ]
  return owed === units
    ? known
    : [...known, { kind: 'adopted', ref, from: accounts.outside, to: paid, amount: units - owed, at }]
}

/** A requester that asks what became of a withdrawal, which failed here and was paid by a database that is lost, is told of the latter. */
const showWithdrawal = (trx: Trx, name: string, adopted: string) =>
  trx
    .updateTable('withdrawals')
    .set({ batch_id: adopted })
    .where('batch_id', 'in', (failed) =>
      failed.selectFrom('payout_batches').select('id').where('id', '=', name).where('state', '=', 'failed'),
    )
    .execute()

/** Its name here: the one it has on the chain, unless that is in use here for another transaction. */
async function nameOf(trx: Trx, { memo = '', signature }: ChainTransfer, chain: Pick<PayoutChain, 'markerOf'>) {
  const name = batchOfMemo(memo) ?? signature
  const used = await trx
    .selectFrom('payout_batches')
    .select('id')
    .where(({ or, eb }) => or([eb('id', '=', name), eb('memo', '=', memo)]))
    .executeTakeFirst()
  if (used === undefined) return { id: name, memo, marker: chain.markerOf(name) }
  const mark = signature.slice(0, 8)
  return { id: `${name}~${mark}`, memo: `${memo}~${mark}`, marker: null }
}

/**
 * Within the caller's transaction. Answers its id here, or undefined when a batch is open: the same money might be in it, so
 * all are brought to an end first.
 */
export async function adopt(
  trx: Trx,
  transfer: ChainTransfer,
  { now, chain }: { readonly now: number; readonly chain: Pick<PayoutChain, 'markerOf'> },
): Promise<string | undefined> {
  const open = trx.selectFrom('payout_batches').select('id').where('state', 'not in', ['finalized', 'failed'])
  if (await open.limit(1).executeTakeFirst()) return undefined
  const at = transfer.atMs || now
  // What had left the hold by then was payable when it was paid.
  const epoch = (await closeEpoch(trx, at))?.epoch ?? (await openEpoch(trx, at))
  const name = await nameOf(trx, transfer, chain)
  const dates = { created_at: at, updated_at: at, failure: null, adopted_at: now, reclaimed_at: null }
  await trx
    .insertInto('payout_batches')
    .values({ ...name, ...dates, epoch_id: epoch, state: 'finalized', marker_lamports: 0 })
    .execute()
  const { signature, wire, blockhash, memo = '' } = transfer
  await showWithdrawal(trx, batchOfMemo(memo) ?? signature, name.id)
  const attempt = {
    batch_id: name.id,
    attempt: 1,
    signature,
    wire,
    blockhash,
    last_valid_block_height: 0,
    signed_at: at,
  }
  await trx.insertInto('payout_attempts').values(attempt).execute()
  const lines = await linesOf(trx, transfer.received)
  for (const [index, line] of lines.entries()) {
    const id = `${name.id}/${index + 1}`
    const { payee, wallet, units } = line
    await trx
      .insertInto('payouts')
      .values({ id, batch_id: name.id, payee, wallet, amount_units: units, rent_lamports: 0 })
      .execute()
    await post(trx, transfersOf(line, id, at))
  }
  return name.id
}
