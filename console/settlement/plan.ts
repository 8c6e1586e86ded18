// Claims what payees may be paid: within one transaction their money moves into batches whose sums are frozen.
import type { Kysely } from 'kysely'
import { holderOf, kindOf } from '../rewards/accounts.ts'
import { readLiabilities } from '../rewards/liabilities.ts'
import { OPERATOR_FEES, type Payee, publisherPayee } from '../rewards/payees.ts'
import type { Database } from '../store/schema.ts'
import { allWallets } from '../wallets/wallets.ts'
import { fill } from './fill.ts'
import { type Claim, namesOf, planBatch } from './new-batch.ts'
import { MAX_TRANSACTION_BYTES, type PayoutChain, type Share, type Through } from './payer.ts'
import { accountTerms, feesThatMayGoBack, payeesWithRent } from './rent.ts'
import { walletFault } from './solana.ts'
import { createSelection } from './tables/table-chain.ts'

export interface Payable {
  readonly payee: Payee
  /** Base units that are payable now. */
  readonly units: bigint
  readonly wallet: string | undefined
  /** Why this money is not paid out at the next settlement; undefined when it is. */
  readonly held: string | undefined
}

export interface PlanSettings {
  readonly minimumUnits: bigint
  /** Withheld from the payout that makes a wallet's token account; 0: the operator bears its rent, once for each payee. */
  readonly accountFeeUnits: bigint
}

type Planner = Pick<PayoutChain, 'markerOf' | 'sizeOf' | 'accountOf'>

const heldBecause = (wallet: string | undefined, units: bigint, minimumUnits: bigint): string | undefined => {
  if (wallet === undefined) return 'no payout wallet is named'
  const fault = walletFault(wallet)
  if (fault !== undefined) return `the payout wallet cannot be paid: ${fault}`
  return units < minimumUnits ? `below the minimum payout: ${units} of ${minimumUnits} base units` : undefined
}

function payeeOf(account: string): Payee {
  const kind = kindOf(account)
  if (kind === 'fee') return OPERATOR_FEES
  return kind === 'royalty' ? publisherPayee(holderOf(account)) : holderOf(account)
}

/** Every owner, publisher and the operator with payable money, and why it would stay where it is. */
export async function payables(db: Kysely<Database>, minimumUnits: bigint): Promise<Payable[]> {
  const rows = await db
    .selectFrom('accounts')
    .select(['id', 'balance_units'])
    .where('kind', 'in', ['payable', 'royalty', 'fee'])
    .where('balance_units', '>', 0n)
    .orderBy('id')
    .execute()
  const wallets = await allWallets(db)
  const kept = await feesThatMayGoBack(db)
  return rows.flatMap(({ id, balance_units }) => {
    const payee = payeeOf(id)
    const units = balance_units - (payee === OPERATOR_FEES ? kept : 0n)
    const wallet = wallets.get(payee)
    return units > 0n ? [{ payee, units, wallet, held: heldBecause(wallet, units, minimumUnits) }] : []
  })
}

export interface PlanOptions extends PlanSettings {
  readonly epoch: number
  readonly now: number
  readonly chain: Planner
  /** Wallets that have their token account; of any other it is assumed that it must be made. */
  readonly withAccount: ReadonlySet<string>
  /** Base units in the treasury's own account. */
  readonly treasuryUnits: bigint
  /** What payouts can go through now. A batch that needs none is sent without. */
  readonly through: Through
}

/** Batches of all that may be paid, as full as a transaction can be. Answers their ids. */
export async function planPayouts(
  trx: Kysely<Database>,
  options: PlanOptions,
): Promise<{ planned: string[]; payouts: number; held: Payable[] }> {
  const { withAccount, chain, through } = options
  const due = await payables(trx, options.minimumUnits)
  const hadRent = await payeesWithRent(trx, payeesWithout(due, withAccount))
  const spare = options.treasuryUnits - (await readLiabilities(trx))
  const all = due.map((one) => claimOf(one, { ...options, hadRent, spare }))
  const claims = all.flatMap(({ claim }) => (claim ? [claim] : []))
  const without = new Set(claims.map(({ wallet }) => wallet).filter((wallet) => !withAccount.has(wallet)))
  const naming = await namesOf(trx, options.epoch)
  // Its number has more digits than any batch will have: what fits under this name fits under any.
  const id = `e${options.epoch}-${'9'.repeat(7)}`
  const common = { id, marker: chain.markerOf(id), memo: naming.memoOf(id) }
  const tables = createSelection(through, chain.accountOf)
  const holds = (lines: readonly Share[], by: Through): boolean =>
    chain.sizeOf({ ...common, lines }, without, by) <= MAX_TRANSACTION_BYTES
  const fits = (lines: readonly Share[]): boolean =>
    holds(lines, []) || (through.length > 0 && holds(lines, tables.of(lines)))
  // Those of one table together, so that few transactions need two; those of none behind them.
  const placeOf = ({ wallet }: Claim): number => tables.placeOf(wallet) ?? through.length
  const sorted = (some: readonly Claim[] = []) => some.toSorted((a, b) => placeOf(a) - placeOf(b))
  const suspects = await payeesOfFaulty(trx)
  const [alone, together] = [true, false].map((apart) => claims.filter(({ payee }) => suspects.has(payee) === apart))
  const planned: string[] = []
  for (const lines of [...fill(sorted(together), fits), ...(alone ?? []).map((claim) => [claim])])
    planned.push(await planBatch(trx, lines, { ...options, ...naming }))
  const held = all.flatMap(({ payable }) => (payable.held === undefined ? [] : [payable]))
  return { planned, payouts: claims.length, held }
}

const payeesWithout = (due: readonly Payable[], withAccount: ReadonlySet<string>): Payee[] =>
  due.flatMap(({ payee, wallet, held }) =>
    held === undefined && wallet !== undefined && !withAccount.has(wallet) ? [payee] : [],
  )

interface Claiming extends PlanOptions {
  readonly hadRent: ReadonlySet<Payee>
  /** What the treasury holds beyond all it owes; below zero what it lacks. */
  readonly spare: bigint
}

function claimOf(payable: Payable, options: Claiming): { payable: Payable; claim?: Claim } {
  const { payee, wallet, held } = payable
  if (held !== undefined || wallet === undefined) return { payable }
  const hold = (why: string) => ({ payable: { ...payable, held: why } })
  const lacking = payable.units - options.spare
  if (payee === OPERATOR_FEES && lacking > 0n)
    return hold(`the operator is paid last, and the treasury lacks ${lacking} base units to cover everybody and this`)
  const facts = { hasAccount: options.withAccount.has(wallet), hadRent: options.hadRent.has(payee) }
  const terms = accountTerms({ payee, wallet, ...facts, feeUnits: options.accountFeeUnits })
  if ('why' in terms) return hold(terms.why)
  const { fee } = terms
  const units = payable.units - fee
  if (units >= options.minimumUnits && units > 0n) return { payable, claim: { payee, wallet, units, fee } }
  return hold(
    `below the minimum payout: ${payable.units} of ${options.minimumUnits} base units and ${fee} for a new token account`,
  )
}

/** Of batches that failed by something in them, as long as their payees have not been paid since. */
async function payeesOfFaulty(trx: Kysely<Database>): Promise<ReadonlySet<Payee>> {
  const rows = await trx
    .selectFrom('payout_batches as b')
    .innerJoin('payouts as p', 'p.batch_id', 'b.id')
    .select('p.payee')
    .distinct()
    .where('b.faulty', '=', 1)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('payouts as later')
            .innerJoin('payout_batches as paid', 'paid.id', 'later.batch_id')
            .select('later.id')
            .whereRef('later.payee', '=', 'p.payee')
            .whereRef('paid.created_at', '>=', 'b.created_at')
            .where('paid.state', '=', 'finalized'),
        ),
      ),
    )
    .execute()
  return new Set(rows.map(({ payee }) => payee))
}
