// The desk of the money that boards earn: views, proofs, statements, the operator's verdicts, and the ledger check.
import { type Aside, createAside } from '../rewards/aside.ts'
import { type Decided, decideHeld } from '../rewards/release.ts'
import type { Shares } from '../rewards/split.ts'
import { isPayee, type Statement } from '../rewards/statement.ts'
import type { Refused, RewardDesk } from '../routes/rewards.ts'
import type { ReceiptView, StatementView } from '../routes/shapes.ts'
import { statementCsv, type TokenUnit } from '../routes/views/statement-csv.ts'
import type { Store } from '../store/open.ts'
import { epochDetail } from './answers.ts'
import type { Money } from './money.ts'
import type { Views } from './views.ts'

export interface RewardDeskOptions {
  readonly store: Store
  readonly views: Views
  readonly treasury: Money['treasury']
  readonly shares: Shares
  readonly now: () => number
  /** Money moved. */
  readonly moved: () => void
}

export function createRewardDesk(options: RewardDeskOptions): RewardDesk {
  const { views, treasury, store } = options
  const aside = createAside(store.file)
  return {
    rewards: views.money.rewards,
    epoch: (id, limit) => epochDetail(views, id, limit),
    checkLedger: async () => aside.check(await treasury.holdings()),
    async proof(receipt) {
      const proven = await aside.proof(receipt, treasury.address)
      if ('proof' in proven) return proven.proof
      const { refused: code, message } = proven
      return { status: code === 'unknown-receipt' ? 404 : 409, code, message }
    },
    decide: (receipt, verdict, reason) => decide(options, receipt, verdict, reason),
    statement: (asked) => statement(options, aside, asked),
  }
}

async function decide(
  { store: { db }, views, shares, now, moved }: RewardDeskOptions,
  receipt: number,
  verdict: 'release' | 'forfeit',
  reason: string,
): Promise<ReceiptView | Refused> {
  const to = verdict === 'release' ? 'credited' : 'forfeited'
  const decided = await db.transaction().execute((trx) => decideHeld(trx, { receipt, to, reason, shares, now: now() }))
  if ('refused' in decided) return refusalOf(decided, receipt)
  moved()
  const view = await views.receipts.one(receipt)
  return view ?? refusalOf({ refused: 'unknown-receipt' }, receipt)
}

function refusalOf(decided: Extract<Decided, { refused: string }>, receipt: number): Refused {
  if (decided.refused === 'unknown-receipt')
    return { status: 404, code: 'unknown-receipt', message: `There is no receipt ${receipt}.` }
  const message = `Receipt ${receipt} is ${decided.state}; only a held one waits for a decision.`
  return { status: 409, code: 'not-held', message }
}

async function statement(
  { store, treasury, now }: RewardDeskOptions,
  aside: Aside,
  { payee, from, to }: Parameters<RewardDesk['statement']>[0],
): ReturnType<RewardDesk['statement']> {
  if (!(await isPayee(store.db, payee))) return undefined
  // What happens in this very millisecond is in it.
  const made = await aside.statement({ payee, from: from ?? 0, to: to ?? now() + 1 })
  return { view: viewOf(made, treasury.token), csv: statementCsv(made, treasury.token) }
}

const time = (at: number): string => new Date(at).toISOString()

const viewOf = ({ payee, from, to, opening, lines, closing }: Statement, token: TokenUnit): StatementView => ({
  payee,
  token: { symbol: token.symbol, decimals: token.decimals },
  from: time(from),
  to: time(to),
  opening: String(opening),
  lines: lines.map(({ at, what, ref, count, amount, balance }) => {
    return { at: time(at), what, ref, count, amount: String(amount), balance: String(balance) }
  }),
  closing: String(closing),
})
