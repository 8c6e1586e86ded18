// The hash chain of one board's receipt batches: what a batch is to what is stored already.
import type { Kysely } from 'kysely'
import { FIRST_PREV, type ReceiptBatch } from '../../broker/protocol/receipts.ts'
import type { Database } from '../store/schema.ts'

export type Link =
  /** The next one. */
  | { readonly kind: 'next' }
  /** Stored before, or some before it are missing; `upTo` is the last stored. */
  | { readonly kind: 'repeated' | 'gap'; readonly upTo: number }
  /** Another history under the same name: never stored. */
  | { readonly kind: 'fork' }

export async function linkOf(
  trx: Kysely<Database>,
  { device, chain, seq, prev }: ReceiptBatch,
  hash: string,
): Promise<Link> {
  const stored = trx
    .selectFrom('receipt_batches')
    .select(['seq', 'hash'])
    .where('device_id', '=', device)
    .where('chain', '=', chain)
  const last = await stored.orderBy('seq', 'desc').limit(1).executeTakeFirst()
  const upTo = last?.seq ?? 0
  if (seq <= upTo) {
    const same = await stored.where('seq', '=', seq).executeTakeFirst()
    return same?.hash === hash ? { kind: 'repeated', upTo } : { kind: 'fork' }
  }
  if (seq > upTo + 1) return { kind: 'gap', upTo }
  return prev === (last?.hash ?? FIRST_PREV) ? { kind: 'next' } : { kind: 'fork' }
}
