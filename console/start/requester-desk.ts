// What the routes call for requesters, owners and wallets.
import type { Kysely } from 'kysely'
import { RequesterError, type Requesters } from '../market/requesters.ts'
import { accounts } from '../rewards/accounts.ts'
import { balanceOf, LedgerError } from '../rewards/ledger.ts'
import { requesterPayee } from '../rewards/payees.ts'
import type { Refused } from '../routes/answers.ts'
import type { OwnerDesk, WalletDesk } from '../routes/owners.ts'
import type { DepositView, RequesterDesk, RequesterView } from '../routes/requesters.ts'
import type { WalletChangeView } from '../routes/shapes.ts'
import { ChainError } from '../settlement/chain-error.ts'
import type { Deposit } from '../settlement/deposits.ts'
import type { Payouts } from '../settlement/payouts.ts'
import { WithdrawalError } from '../settlement/plan-withdrawal.ts'
import { withdrawOnce } from '../settlement/withdrawals.ts'
import type { Store } from '../store/open.ts'
import type { Database } from '../store/schema.ts'
import { type WalletChange, WalletError } from '../wallets/registration.ts'
import { allWallets, walletOf } from '../wallets/wallets.ts'
import type { Funding } from './funding.ts'

export interface FundingDeskOptions {
  readonly store: Store
  readonly requesters: Requesters
  readonly funding: Funding
  readonly payouts: Pick<Payouts, 'planWithdrawal' | 'hasAccount'>
  readonly publicUrl: () => string
  readonly now: () => number
  /** Money moved. */
  readonly moved: () => void
  /** Where money goes changed, or will. */
  readonly rewired: () => void
}

const DEPOSITS_SHOWN = 100
const iso = (at: number): string => new Date(at).toISOString()

const STATUS_OF: Readonly<Record<string, 400 | 404 | 409>> = {
  'bad-id': 400,
  'bad-address': 400,
  'bad-signature': 400,
  'bad-account': 400,
  unknown: 404,
  'unknown-payee': 404,
  'unknown-change': 404,
}

/** What a person may do something about is answered; anything else is a bug. */
async function answered<T>(work: () => Promise<T>): Promise<T | Refused> {
  try {
    return await work()
  } catch (error) {
    const isKnown =
      error instanceof RequesterError ||
      error instanceof WalletError ||
      error instanceof LedgerError ||
      error instanceof WithdrawalError ||
      error instanceof ChainError
    if (!isKnown) throw error
    return no(error.code, error.message, STATUS_OF[error.code] ?? 409)
  }
}

const no = (code: string, message: string, status: 400 | 404 | 409 = 404): Refused => ({
  refused: { status, code, message: /[.!?]$/.test(message) ? message : `${message}.` },
})

const depositView = ({ signature, amount_units, mint, state, at }: Deposit): DepositView => ({
  signature,
  amount: String(amount_units),
  mint,
  state,
  at: iso(at),
})

async function viewOf(db: Kysely<Database>, { id, name }: { id: string; name: string }): Promise<RequesterView> {
  const [budget, reserved, wallet] = await Promise.all([
    balanceOf(db, accounts.budget(id)),
    balanceOf(db, accounts.reserved(id)),
    walletOf(db, requesterPayee(id)),
  ])
  const deposit = await db.selectFrom('deposit_addresses').selectAll().where('requester_id', '=', id).executeTakeFirst()
  const allowance = await db.selectFrom('allowances').selectAll().where('requester_id', '=', id).executeTakeFirst()
  return {
    id,
    name,
    budget: String(budget),
    reserved: String(reserved),
    ...(wallet !== undefined && { wallet }),
    ...(deposit && {
      deposit: {
        wallet: deposit.wallet,
        account: deposit.account,
        ...(deposit.read_at !== null && { readAt: iso(deposit.read_at) }),
      },
    }),
    ...(allowance && {
      allowance: {
        account: allowance.account,
        state: allowance.state,
        left: String(allowance.left_units),
        below: String(allowance.below_units),
        draw: String(allowance.draw_units),
        seenAt: iso(allowance.seen_at),
      },
    }),
  }
}

export function createRequesterDesk(options: FundingDeskOptions): RequesterDesk {
  const { store, requesters, funding, payouts, moved } = options
  const { db } = store

  /** `work` with a requester that exists; its view afterwards. */
  const withRequester = (id: string, work: () => Promise<unknown>): Promise<RequesterView | Refused> =>
    answered(async () => {
      const requester = await requesters.get(id)
      if (!requester) return no('unknown-requester', `There is no requester ${id}.`)
      await work()
      return viewOf(db, requester)
    })

  return {
    requesters: async () => Promise.all((await requesters.list()).map((one) => viewOf(db, one))),
    async requester(id) {
      const requester = await requesters.get(id)
      if (!requester) return undefined
      const trouble = funding.deposits.trouble()
      return {
        requester: await viewOf(db, requester),
        deposits: (await funding.deposits.list(id, DEPOSITS_SHOWN)).map(depositView),
        ...(trouble !== undefined && { trouble }),
      }
    },
    addRequester: ({ id, name, owner }) =>
      answered(async () => {
        if (owner !== undefined && !(await hasOwner(db, owner)))
          return no('unknown-owner', `There is no owner ${owner}.`)
        const made = await requesters.create({ id, name: name ?? id, ...(owner !== undefined && { ownerId: owner }) })
        moved()
        return { id, key: made.key }
      }),
    renewKey: (id) => answered(async () => ({ id, key: await requesters.renewKey(id) })),
    openDeposit: (id) => withRequester(id, () => funding.deposits.addressOf(id)),
    setAllowance: (id, { account, below, draw }) =>
      withRequester(id, () => funding.allowances.set(id, { account, belowUnits: below, drawUnits: draw })),
    dropAllowance: funding.allowances.drop,
    withdraw: (id, { units, requestId }) =>
      answered(async () => {
        const wallet = await walletOf(db, requesterPayee(id))
        if (wallet === undefined)
          return no('no-wallet', `${requesterPayee(id)} has no wallet: register the one to withdraw to first.`, 409)
        const hasAccount = await payouts.hasAccount(wallet)
        const wanted = { requester: id, units, wallet, hasAccount, requestId }
        const done = await db
          .transaction()
          .execute((trx) => withdrawOnce(trx, wanted, payouts.planWithdrawal, options.now()))
        if ('takenFor' in done)
          return no('taken', `${requestId} names a withdrawal of ${done.takenFor} base units already.`, 409)
        moved()
        return done
      }),
  }
}

const hasOwner = async (db: Kysely<Database>, id: string): Promise<boolean> =>
  (await db.selectFrom('owners').select('id').where('id', '=', id).executeTakeFirst()) !== undefined

export function createOwnerDesk({ store, now, moved }: FundingDeskOptions): OwnerDesk {
  const { db } = store
  return {
    async owners() {
      const rows = await db.selectFrom('owners').select(['id', 'name']).orderBy('id').execute()
      const wallets = await allWallets(db)
      return rows.map(({ id, name }) => {
        const wallet = wallets.get(id)
        return { id, name, ...(wallet !== undefined && { wallet }) }
      })
    },
    async addOwner({ id, name = id }) {
      if (await hasOwner(db, id)) return no('taken', `There is an owner ${id} already.`, 409)
      await db.insertInto('owners').values({ id, name, created_at: now() }).execute()
      moved()
      return { id, name }
    },
  }
}

/** Changes of wallet that wait. */
export const waitingChanges = async ({ registration }: Pick<Funding, 'registration'>): Promise<WalletChangeView[]> =>
  (await registration.waiting()).map(changeView)

const changeView = ({ id, payee, address, asked_at, effective_at }: WalletChange): WalletChangeView => ({
  id,
  payee,
  address,
  askedAt: iso(asked_at),
  effectiveAt: iso(effective_at),
})

export function createWalletDesk({ funding, publicUrl, rewired }: FundingDeskOptions): WalletDesk {
  const { registration } = funding
  return {
    changes: () => waitingChanges(funding),
    challenge: ({ payee, address }) =>
      answered(async () => ({ text: await registration.challenge(payee, address, publicUrl()) })),
    register: ({ payee, signature, oldSignature }) =>
      answered(async () => {
        const signatures = { by: signature, ...(oldSignature !== undefined && { byOld: oldSignature }) }
        const done = await registration.register(payee, signatures)
        rewired()
        return done.state === 'waiting' ? { state: 'waiting', change: changeView(done.change) } : done
      }),
    cancel: (id) =>
      answered(async () => {
        await registration.cancel(id)
        rewired()
        return { cancelled: id }
      }),
  }
}
