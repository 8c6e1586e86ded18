// What the treasury holds, wherever it lies: its own account and the deposit accounts, read in one call, so that a sweep from one
// to the other is never counted twice; with them the markers of open batches, which say whose money has left.
import type { Kysely } from 'kysely'
import { type Holdings, UNPAID } from '../rewards/liabilities.ts'
import type { Database } from '../store/schema.ts'
import { ChainError } from './chain-error.ts'
import type { Solana } from './solana.ts'

/** Shown, not paid from: it may be this old. */
const KEPT_MS = 3_000

export interface HoldingsOptions {
  readonly db: Kysely<Database>
  readonly solana: Pick<Solana, 'holdings'>
  readonly mint: string
  readonly now: () => number
}

/** Answers undefined where the chain does not answer, and remembers each answer for a moment. */
export function createHoldings({ db, solana, mint, now }: HoldingsOptions): () => Promise<Holdings | undefined> {
  const read = async (): Promise<Holdings> => {
    const deposits = await db.selectFrom('deposit_addresses').select('account').execute()
    const open = await db.selectFrom('payout_batches').select('marker').where('state', 'in', UNPAID).execute()
    const accounts = deposits.map(({ account }) => account)
    return solana.holdings(
      mint,
      accounts,
      open.flatMap(({ marker }) => marker ?? []),
    )
  }
  let last: { readonly at: number; readonly holdings: Promise<Holdings | undefined> } | undefined
  return () => {
    if (last === undefined || now() - last.at >= KEPT_MS)
      last = { at: now(), holdings: read().catch(unlessUnreachable) }
    return last.holdings
  }
}

const unlessUnreachable = (error: unknown): undefined => {
  if (!(error instanceof ChainError)) throw error
}
