// The money as the page shows it: what each owner and requester has, what the treasury holds, what was earned today.
import type { Kysely } from 'kysely'
import type { AccountKind } from '../../rewards/accounts.ts'
import { type Holdings, readLiabilities } from '../../rewards/liabilities.ts'
import type { Database } from '../../store/schema.ts'
import { allWallets } from '../../wallets/wallets.ts'
import type { Overview, Rewards } from '../shapes.ts'
import type { PayoutViews } from './payouts.ts'

/** What the console knows of the chain it pays on. */
export interface Treasury {
  readonly cluster: Rewards['cluster']
  readonly token: Rewards['token']
  readonly address: string
  /** Undefined when the chain does not answer. */
  holdings(): Promise<Holdings | undefined>
  /** Tokens of a wallet; undefined when the chain does not answer. */
  balanceOf(wallet: string): Promise<bigint | undefined>
}

export interface MoneyViewOptions {
  readonly db: Kysely<Database>
  readonly now: () => number
  readonly treasury: Treasury
  readonly payouts: Pick<PayoutViews, 'epochs'>
  /** Why money waits, one sentence each. */
  readonly troubles: () => readonly string[]
  /** Payees and why their money is not paid out. */
  readonly held: () => Promise<readonly { readonly payee: string; readonly held: string | undefined }[]>
  /** Boards of an owner. */
  readonly boardsOf: (owner: string) => number
}

const EPOCHS_SHOWN = 20

type Balances = ReadonlyMap<string, bigint>
const of = (balances: Balances, kind: AccountKind, holder: string): bigint => balances.get(`${kind}:${holder}`) ?? 0n

function sumOf(balances: Balances, kinds: readonly AccountKind[]): bigint {
  let sum = 0n
  for (const [id, balance] of balances) if (kinds.some((kind) => id.startsWith(`${kind}:`))) sum += balance
  return sum
}

/** Coverage to four places; a ratio is for the eye, so a float is enough. */
function coverageOf(balance: bigint | undefined, liabilities: bigint): { coverage?: number } {
  if (balance === undefined || liabilities === 0n) return {}
  return { coverage: Number((balance * 10_000n) / liabilities) / 10_000 }
}

export function createMoneyViews(options: MoneyViewOptions) {
  const { db, now, treasury, payouts, troubles, boardsOf } = options
  const today = createToday(db)

  const readBalances = async (): Promise<Balances> => {
    const rows = await db.selectFrom('accounts').select(['id', 'balance_units']).execute()
    return new Map(rows.map((row) => [row.id, row.balance_units]))
  }

  async function ownersOf(balances: Balances): Promise<Rewards['owners']> {
    const owners = await db.selectFrom('owners').select(['id', 'name']).orderBy('name').execute()
    const wallets = await allWallets(db)
    const reasons = new Map((await options.held()).map(({ payee, held }) => [payee, held]))
    return Promise.all(
      owners.map(async ({ id, name }) => {
        const wallet = wallets.get(id)
        const walletBalance = wallet === undefined ? undefined : await treasury.balanceOf(wallet)
        const held = reasons.get(id)
        return {
          id,
          name,
          ...(wallet !== undefined && { wallet }),
          ...(walletBalance !== undefined && { walletBalance: String(walletBalance) }),
          boards: boardsOf(id),
          pending: String(of(balances, 'pending', id)),
          payable: String(of(balances, 'payable', id)),
          ...(held !== undefined && { held }),
          inPayout: String(of(balances, 'in-payout', id)),
          paid: String(of(balances, 'paid', id)),
        }
      }),
    )
  }

  async function requestersOf(balances: Balances): Promise<Rewards['requesters']> {
    const requesters = await db.selectFrom('requesters').select(['id', 'name']).orderBy('name').execute()
    return requesters.map(({ id, name }) => ({
      id,
      name,
      budget: String(of(balances, 'budget', id)),
      reserved: String(of(balances, 'reserved', id)),
    }))
  }

  async function coverage(): Promise<Rewards['treasury']> {
    const holdings = await treasury.holdings()
    const liabilities = await readLiabilities(db, holdings?.landed)
    return {
      address: treasury.address,
      ...(holdings && { balance: String(holdings.units) }),
      liabilities: String(liabilities),
      ...coverageOf(holdings?.units, liabilities),
    }
  }

  return {
    coverage,

    async rewards(): Promise<Rewards> {
      const balances = await readBalances()
      return {
        token: treasury.token,
        cluster: treasury.cluster,
        owners: await ownersOf(balances),
        requesters: await requestersOf(balances),
        operatorFees: String(sumOf(balances, ['fee'])),
        royalties: String(sumOf(balances, ['royalty'])),
        treasury: await coverage(),
        epochs: await payouts.epochs(EPOCHS_SHOWN),
        troubles: [...troubles()],
      }
    },

    /** The three figures of the overview. */
    async figures(): Promise<Overview['money']> {
      const balances = await readBalances()
      return {
        earnedToday: String(await today(now())),
        owed: String(sumOf(balances, ['pending', 'payable', 'in-payout'])),
        paid: String(sumOf(balances, ['paid'])),
      }
    },
  }
}
export type MoneyViews = ReturnType<typeof createMoneyViews>

const DAY_MS = 86_400_000

/** Earned by owners since midnight UTC: transfers only grow, so each call adds the new ones to the sum so far. */
function createToday(db: Kysely<Database>): (now: number) => Promise<bigint> {
  let midnight = -1
  let counted = 0
  let sum = 0n
  return async (now) => {
    const day = now - (now % DAY_MS)
    if (day !== midnight) {
      midnight = day
      counted = 0
      sum = 0n
    }
    const more = await db
      .selectFrom('transfers')
      .select((eb) => [
        eb.fn.coalesce(eb.fn.max('id'), eb.lit(0)).as('newest'),
        eb.fn.coalesce(eb.fn.sum<bigint>('amount_units'), eb.lit(0)).as('sum_units'),
      ])
      .where('id', '>', counted)
      .where('at', '>=', midnight)
      .where('kind', '=', 'earn')
      .executeTakeFirstOrThrow()
    // Two callers may have asked at once: only the first of them adds.
    if (more.newest > counted) {
      counted = more.newest
      sum += BigInt(more.sum_units)
    }
    return sum
  }
}
