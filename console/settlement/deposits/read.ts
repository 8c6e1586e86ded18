// Reads what came to one deposit account since it was last read: row, credit and how far it was read, in one transaction.
import type { Kysely } from 'kysely'
import { accounts } from '../../rewards/accounts.ts'
import { post } from '../../rewards/ledger.ts'
import type { Database } from '../../store/schema.ts'
import type { Arrival, Change, DepositChain } from './deposit-chain.ts'

export interface WatchedAccount {
  readonly requester: string
  readonly account: string
  readonly readUpTo: string | undefined
}

export interface ReadOptions {
  readonly db: Kysely<Database>
  readonly chain: Pick<DepositChain, 'arrivals' | 'change'>
  readonly mint: string
  /** What is below it waits until the sum of what is below it reaches it: crumbs cost more than they are worth. */
  readonly minimumUnits: bigint
  readonly now: () => number
}

/**
 * Oldest first. The chain pages backwards, so all that is new is listed before the first of it is read. Only an empty page is the
 * end: providers of RPC cap pages below the 1,000 of the protocol.
 */
export async function newArrivals(
  chain: Pick<DepositChain, 'arrivals'>,
  account: string,
  until: string | undefined,
): Promise<Arrival[]> {
  const all: Arrival[] = []
  for (;;) {
    const before = all.at(-1)?.signature
    const range = { ...(before !== undefined && { before }), ...(until !== undefined && { until }) }
    const page = await chain.arrivals(account, range)
    if (page.length === 0) return all.reverse()
    all.push(...page)
  }
}

export interface Read {
  /** Deposits credited. */
  readonly count: number
  /** What the chain lists but does not tell yet: the next look goes on with it, so that nothing is passed over. */
  readonly waitsFor?: string
}

export async function readAccount(options: ReadOptions, watched: WatchedAccount): Promise<Read> {
  const { chain, db } = options
  let count = 0
  for (const { signature, hasFailed } of await newArrivals(chain, watched.account, watched.readUpTo)) {
    const change = hasFailed ? { units: 0n, slot: 0, atMs: 0 } : await chain.change(signature, watched.account)
    if (!change) return { count, waitsFor: signature }
    count += await db.transaction().execute((trx) => take(trx, options, watched, { signature, ...change }))
  }
  return { count }
}

type Taken = Change & { readonly signature: string }

async function take(
  trx: Kysely<Database>,
  { mint, minimumUnits, now }: ReadOptions,
  { requester, account }: WatchedAccount,
  { signature, units, slot, atMs }: Taken,
): Promise<number> {
  const seen = now()
  await trx
    .updateTable('deposit_addresses')
    .set({ read_up_to: signature, read_at: seen })
    .where('requester_id', '=', requester)
    .execute()
  if (units <= 0n) return 0
  await trx
    .insertInto('deposits')
    .values({
      signature,
      account,
      requester_id: requester,
      mint,
      amount_units: units,
      slot,
      at: atMs,
      // Dust until the next line has looked at all of it.
      state: 'dust',
      seen_at: seen,
    })
    .onConflict((conflict) => conflict.columns(['signature', 'account']).doNothing())
    .execute()
  return creditAll(trx, { requester, account, minimumUnits, at: seen })
}

/** Credits what is large enough together. */
async function creditAll(
  trx: Kysely<Database>,
  { requester, account, minimumUnits, at }: { requester: string; account: string; minimumUnits: bigint; at: number },
): Promise<number> {
  const dust = await trx
    .selectFrom('deposits')
    .select(['signature', 'amount_units'])
    .where('requester_id', '=', requester)
    .where('account', '=', account)
    .where('state', '=', 'dust')
    .execute()
  const sum = dust.reduce((total, { amount_units }) => total + amount_units, 0n)
  if (sum < minimumUnits) return 0
  await trx
    .updateTable('deposits')
    .set({ state: 'credited' })
    .where('requester_id', '=', requester)
    .where('account', '=', account)
    .where('state', '=', 'dust')
    .execute()
  await post(
    trx,
    dust.map(({ signature, amount_units }) => ({
      kind: 'deposit',
      ref: signature,
      from: accounts.outside,
      to: accounts.budget(requester),
      amount: amount_units,
      at,
    })),
  )
  return dust.length
}
