// Claims what payees may be paid: within one transaction their money moves into batches whose sums are frozen.
import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { accounts, holderOf, kindOf } from '../rewards/accounts.ts'
import { newestHead, openEpoch } from '../rewards/epochs.ts'
import { post, type Transfer } from '../rewards/ledger.ts'
import { readLiabilities } from '../rewards/liabilities.ts'
import { OPERATOR_FEES, type Payee, publisherPayee, requesterPayee, sourceOf } from '../rewards/payees.ts'
import type { Database } from '../store/schema.ts'
import { allWallets } from '../wallets/wallets.ts'
import { fill } from './fill.ts'
import { memoOf } from './memo.ts'
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

interface Claim extends Share {
  readonly payee: Payee
  /** Withheld for the wallet's new token account. */
  readonly fee: bigint
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

interface Names {
  readonly nextId: () => string
  readonly memoOf: (id: string) => string
}

/**
 * Ids go on after the highest one of the epoch, also after those found on the chain: a database restored from a backup must
 * not give another batch the same name.
 */
async function namesOf(trx: Kysely<Database>, epoch: number): Promise<Names> {
  const start = `e${epoch}-`
  const rows = await trx
    .selectFrom('payout_batches')
    .select('id')
    .where('id', '>=', start)
    // The character after '-'.
    .where('id', '<', `e${epoch}.`)
    .execute()
  let highest = 0
  for (const { id } of rows) highest = Math.max(highest, Number.parseInt(id.slice(start.length), 10) || 0)
  const head = await newestHead(trx)
  return { nextId: () => `${start}${++highest}`, memoOf: (id) => memoOf(id, head) }
}

interface BatchOptions extends Names {
  readonly epoch: number
  readonly now: number
  readonly chain: Pick<Planner, 'markerOf'>
}

async function planBatch(trx: Kysely<Database>, claims: readonly Claim[], options: BatchOptions): Promise<string> {
  const { epoch, now } = options
  const id = options.nextId()
  const batch = {
    id,
    epoch_id: epoch,
    memo: options.memoOf(id),
    marker: options.chain.markerOf(id),
    marker_lamports: 0,
  }
  const dates = { created_at: now, updated_at: now, failure: null, adopted_at: null, reclaimed_at: null }
  await trx
    .insertInto('payout_batches')
    .values({ ...batch, ...dates, state: 'planned' })
    .execute()
  const lines = claims.map((claim, index) => ({ ...claim, id: `${id}/${index + 1}` }))
  await trx
    .insertInto('payouts')
    .values(
      lines.map(({ id: line, payee, wallet, units }) => ({
        id: line,
        batch_id: id,
        payee,
        wallet,
        amount_units: units,
        rent_lamports: 0,
      })),
    )
    .execute()
  await post(
    trx,
    lines.flatMap((line) => transfersOf(line, now)),
  )
  return id
}

function transfersOf({ id, payee, units, fee }: Claim & { readonly id: string }, at: number): Transfer[] {
  const from = sourceOf(payee)
  const payout = { kind: 'payout', ref: id, from, to: accounts.inPayout(payee), amount: units, at } as const
  if (fee === 0n) return [payout]
  return [payout, { kind: 'account-fee', ref: id, from, to: accounts.operatorFees, amount: fee, at }]
}

export interface Withdrawal {
  readonly requester: string
  /** The requester's own name for it. */
  readonly requestId: string
  readonly units: bigint
  readonly wallet: string
  /** Whether the wallet has its token account. */
  readonly hasAccount: boolean
}

/** A withdrawal that costs more than it brings. */
export class WithdrawalError extends Error {
  override readonly name = 'WithdrawalError'
  readonly code: 'too-small' | 'no-account'

  constructor(code: WithdrawalError['code'], message: string) {
    super(message)
    this.code = code
  }
}

interface WithdrawalOptions extends PlanSettings {
  readonly now: number
  readonly chain: Pick<PayoutChain, 'markerOf'>
}

/** 132 bits. */
const NAME_CHARACTERS = 22

/**
 * The batch of a withdrawal is named after what it is, and so is its marker: also a database that has forgotten it cannot pay it
 * out twice.
 */
export function withdrawalName({ requester, requestId }: Pick<Withdrawal, 'requester' | 'requestId'>): string {
  const whole = JSON.stringify([requester, requestId])
  return `w-${createHash('sha256').update(whole).digest('base64url').slice(0, NAME_CHARACTERS)}`
}

/**
 * A batch of one line, out of a requester's budget, under its own name: once only; the fee for a new token account comes out of
 * the units. Throws WithdrawalError, and LedgerError `insufficient` when the budget holds less: what is reserved cannot be
 * withdrawn.
 */
export async function planWithdrawal(
  trx: Kysely<Database>,
  { requester, requestId, units: asked, wallet, hasAccount }: Withdrawal,
  { now, chain, minimumUnits, accountFeeUnits: feeUnits }: WithdrawalOptions,
): Promise<string> {
  const payee = requesterPayee(requester)
  const hadRent = !hasAccount && (await payeesWithRent(trx, [payee])).has(payee)
  const terms = accountTerms({ payee, wallet, hasAccount, hadRent, feeUnits })
  if ('why' in terms) throw new WithdrawalError('no-account', terms.why)
  const units = asked - terms.fee
  if (units < minimumUnits) {
    const fee = terms.fee === 0n ? '' : ` and ${terms.fee} for a new token account`
    throw new WithdrawalError('too-small', `${asked} base units are less than the minimum of ${minimumUnits}${fee}`)
  }
  const epoch = await openEpoch(trx, now)
  const claim = { payee, wallet, units, fee: terms.fee }
  const nextId = () => withdrawalName({ requester, requestId })
  return planBatch(trx, [claim], { epoch, now, chain, ...(await namesOf(trx, epoch)), nextId })
}
