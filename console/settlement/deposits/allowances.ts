// The light way to pay: a requester lets the treasury draw from its own token account (ApproveChecked). What is drawn goes into
// its deposit account and is credited there like any deposit, so an allowance that is revoked in the middle costs nobody
// anything: what is reserved was paid in before.
import type { Kysely, Selectable } from 'kysely'
import type { Logger } from 'pino'
import { accounts } from '../../rewards/accounts.ts'
import { balanceOf } from '../../rewards/ledger.ts'
import { requesterPayee } from '../../rewards/payees.ts'
import type { Database } from '../../store/schema.ts'
import { walletOf } from '../../wallets/wallets.ts'
import { ChainError } from '../chain-error.ts'
import type { Allowed, DepositAddress, DepositChain } from './deposit-chain.ts'

export type Allowance = Selectable<Database['allowances']>

export interface AllowancesOptions {
  readonly db: Kysely<Database>
  readonly chain: Pick<DepositChain, 'allowed' | 'draw' | 'finalizedHeight'>
  readonly addressOf: (requester: string) => Promise<DepositAddress>
  /** Credits what came to a requester's deposit account. Rejects with ChainError. */
  readonly readDeposits: (requester: string) => Promise<unknown>
  readonly now: () => number
  readonly log: Logger
}

export interface AllowanceTerms {
  readonly account: string
  /** Drawn when the budget falls below this. */
  readonly belowUnits: bigint
  readonly drawUnits: bigint
}

export interface Allowances {
  /** Rejects with ChainError `bad-account`. */
  set(requester: string, terms: AllowanceTerms): Promise<Allowance>
  drop(requester: string): Promise<void>
  get(requester: string): Promise<Allowance | undefined>
  /** Looks at each, and draws where a budget is low. Rejects with ChainError. */
  turn(): Promise<void>
}

/** A transaction lands within 150 blocks, or never; twice that, for nodes that lag behind the one that told the height. */
const QUIET_BLOCKS = 300

interface Draw {
  /** Unknown while no answer came to it. */
  readonly signature?: string
  /** Finalized height from which on it is known to be lost, unless it was credited. */
  readonly until: number
}

const stateOf = ({ units, allowedUnits }: Allowed, before: Allowance | undefined): Allowance['state'] => {
  if (units === 0n) return 'empty'
  if (allowedUnits > 0n) return 'good'
  // Both look the same on the chain; what was seen before tells them apart.
  return before !== undefined && before.left_units > 0n && before.left_units <= before.draw_units ? 'spent' : 'revoked'
}

const least = (...amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => (a < b ? a : b))

export function createAllowances(options: AllowancesOptions): Allowances {
  const { db, chain, addressOf, readDeposits, now, log } = options
  const draws = new Map<string, Draw>()
  let firstHeight: number | undefined

  const get = (requester: string) =>
    db.selectFrom('allowances').selectAll().where('requester_id', '=', requester).executeTakeFirst()

  /** Or anybody could name an account whose owner has allowed the treasury to draw for somebody else. */
  const isOwn = async (requester: string, { owner }: Allowed): Promise<boolean> =>
    owner === (await walletOf(db, requesterPayee(requester)))

  async function look(allowance: Allowance): Promise<Allowance> {
    const found = await chain.allowed(allowance.account)
    const isUsable = found !== undefined && (await isOwn(allowance.requester_id, found))
    const [state, left] = isUsable
      ? [stateOf(found, allowance), least(found.units, found.allowedUnits)]
      : ([found ? 'revoked' : 'empty', 0n] as const)
    if (state !== allowance.state)
      log.info({ requester: allowance.requester_id, state, left: left.toString() }, 'an allowance changed')
    const seen = { state, left_units: left, seen_at: now() }
    await db.updateTable('allowances').set(seen).where('requester_id', '=', allowance.requester_id).execute()
    return { ...allowance, ...seen }
  }

  const isCredited = async (signature: string): Promise<boolean> =>
    (await db.selectFrom('deposits').select('slot').where('signature', '=', signature).executeTakeFirst()) !== undefined

  /** At the start nobody knows what was sent just before. */
  async function mayStillLand(requester: string, height: number): Promise<boolean> {
    const { until, signature } = draws.get(requester) ?? { until: (firstHeight ?? height) + QUIET_BLOCKS }
    return height <= until && (signature === undefined || !(await isCredited(signature)))
  }

  async function drawFrom(allowance: Allowance, height: number): Promise<void> {
    const { requester_id: requester, below_units: below, draw_units: wanted, left_units: left } = allowance
    const units = least(wanted, left)
    const isLow = async (): Promise<boolean> => (await balanceOf(db, accounts.budget(requester))) < below
    if (units === 0n || !(await isLow()) || (await mayStillLand(requester, height))) return
    // What was drawn last may have landed without having been read yet: the same need is not drawn for twice.
    await readDeposits(requester)
    if (!(await isLow())) return
    const draw: Draw = { until: height + QUIET_BLOCKS }
    // Before it is sent: an RPC that gives no answer may have taken it.
    draws.set(requester, draw)
    const { signature } = await chain.draw(allowance.account, await addressOf(requester), units)
    draws.set(requester, { ...draw, signature })
    log.info({ requester, units: units.toString() }, 'drawn from an allowance')
  }

  return {
    get,
    async set(requester, { account, belowUnits, drawUnits }) {
      const found = await chain.allowed(account)
      if (!found) throw new ChainError('bad-account', `${account} is not an account of the token that is paid here`)
      if (!(await isOwn(requester, found)))
        throw new ChainError(
          'bad-account',
          `${account} belongs to ${found.owner}: register that wallet for ${requester} first`,
        )
      await addressOf(requester)
      const left = least(found.units, found.allowedUnits)
      const terms = { account, below_units: belowUnits, draw_units: drawUnits }
      const row = { ...terms, state: stateOf(found, undefined), left_units: left, seen_at: now() }
      await db
        .insertInto('allowances')
        .values({ requester_id: requester, ...row })
        .onConflict((conflict) => conflict.column('requester_id').doUpdateSet(row))
        .execute()
      return { requester_id: requester, ...row }
    },
    async drop(requester) {
      await db.deleteFrom('allowances').where('requester_id', '=', requester).execute()
    },
    async turn() {
      const all = await db.selectFrom('allowances').selectAll().execute()
      if (all.length === 0) return
      const height = await chain.finalizedHeight()
      firstHeight ??= height
      for (const one of all) await drawFrom(await look(one), height)
    },
  }
}
