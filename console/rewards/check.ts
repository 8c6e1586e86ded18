// Proves from the rows that the money adds up, by several independent ways of counting; any of them can fail.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import { ACCOUNT_KINDS, type AccountKind, accounts, kindOf } from './accounts.ts'
import { addUp, type Books, heldByFlows, readBooks } from './books.ts'
import { commitmentFaults } from './commitments.ts'
import type { Holdings } from './liabilities.ts'

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

/** The shape of routes/shapes.ts LedgerCheck. */
export interface LedgerReport {
  readonly ok: boolean
  readonly checks: Check[]
}

type Sums = ReadonlyMap<string, bigint>

const ofKind = (all: Sums, kind: AccountKind): Sums => new Map([...all].filter(([account]) => kindOf(account) === kind))

const total = (all: Sums): bigint => [...all.values()].reduce((sum, amount) => sum + amount, 0n)

/** The same sum under every name of either side; the first difference is named. */
function same(name: string, left: Sums, right: Sums, good: string, each = 'account(s)'): Check {
  for (const account of new Set([...left.keys(), ...right.keys()])) {
    const [a, b] = [left.get(account) ?? 0n, right.get(account) ?? 0n]
    if (a !== b) return { name, ok: false, detail: `${account}: ${a} against ${b}, a difference of ${a - b}` }
  }
  return { name, ok: true, detail: `${good}: ${total(left)} in ${left.size} ${each}` }
}

const none = (name: string, found: readonly string[], bad: string, good: string): Check => ({
  name,
  ok: found.length === 0,
  detail: found.length === 0 ? good : `${found.length} ${bad}, among them ${found[0]}`,
})

/** The kinds that bring money in from outside; nothing goes back there but what was `adopted` and is `attributed`. */
const ENTRIES = ['deposit', 'grant', 'adopted'] as const

function balanced({ balances, flows }: Books): Check {
  const inside = ACCOUNT_KINDS.filter((kind) => kind !== 'outside').map((kind) => [
    kind,
    total(ofKind(balances, kind)),
  ]) as [AccountKind, bigint][]
  const held = inside.reduce((sum, [, amount]) => sum + amount, 0n)
  const entered = ENTRIES.map((kind) => addUp(flows, (flow) => (flow.kind === kind ? accounts.outside : undefined)))
  const [deposits = 0n, grants = 0n, found = 0n] = entered.map(total)
  const attributed = total(addUp(flows, ({ kind }) => (kind === 'attributed' ? accounts.outside : undefined)))
  const adopted = found - attributed
  const sum = deposits + grants + adopted
  const ok = sum === held && sum + (balances.get(accounts.outside) ?? 0n) === 0n
  const left = `deposits ${deposits} + grants ${grants} + adopted ${adopted}`
  const right = inside.map(([kind, amount]) => `${kind} ${amount}`).join(' + ')
  return { name: 'what came in is all accounted for', ok, detail: `${left} ${ok ? '=' : '≠'} ${right}` }
}

/** Whatever crosses the border of the ledger does so as one of the entries, into the account that it is for. */
function enteredRightly({ flows }: Books): Check {
  const target = { deposit: 'budget', grant: 'budget', adopted: 'paid' } as const
  const isRight = ({ kind, from, to }: Books['flows'][number]): boolean => {
    if (kind === 'attributed') return kindOf(from) === 'paid' && to === accounts.outside
    const entry = ENTRIES.find((name) => name === kind)
    if (entry === undefined) return from !== accounts.outside && to !== accounts.outside
    return from === accounts.outside && kindOf(to) === target[entry]
  }
  const wrong = flows.filter((flow) => !isRight(flow)).map(({ kind, from, to }) => `${kind} from ${from} to ${to}`)
  return none('money enters where it may, and none leaves', wrong, 'kind(s) of transfer', 'every entry is to a budget')
}

const notOverdrawn = ({ balances }: Books): Check =>
  none(
    'no account is overdrawn',
    [...balances].flatMap(([id, held]) => (held < 0n && id !== accounts.outside ? [`${id}, which holds ${held}`] : [])),
    'account(s)',
    `${balances.size} account(s)`,
  )

/** Tasks under way, answers whose receipt is to come, and receipts in doubt: together all that is reserved. */
function reserved({ balances, owed }: Books): Check {
  const tasks = addUp(owed, ({ requester }) => accounts.reserved(requester))
  const inDoubt = owed.reduce((sum, row) => sum + row.held_units, 0n)
  const why = inDoubt === 0n ? 'reserved' : `${inDoubt} for receipts held back until the operator decides; reserved`
  return same('reserved money belongs to tasks', ofKind(balances, 'reserved'), tasks, why)
}

function earnings({ flows, earned }: Books): Check {
  const moved = addUp(flows, ({ kind, to }) => (kind === 'earn' ? (to as `pending:${string}`) : undefined))
  const receipts = addUp(earned, ({ owner }) => accounts.pending(owner))
  return same('earnings equal credited receipts', moved, receipts, 'earned')
}

function pending({ balances, earned }: Books): Check {
  const inHold = addUp(earned, ({ owner, epoch }) => (epoch === null ? accounts.pending(owner) : undefined))
  return same('pending money belongs to receipts in the hold', ofKind(balances, 'pending'), inHold, 'pending')
}

function matured({ matured: moved, earned }: Books): Check {
  const receipts = addUp(earned, ({ epoch }) => (epoch === null ? undefined : `epoch:${epoch}`))
  return same('each epoch made payable what its receipts say', moved, receipts, 'made payable', 'epoch(s)')
}

function inPayouts(name: string, { balances, paying }: Books, kind: 'in-payout' | 'paid', good: string): Check {
  const isIn = (state: PayoutState): boolean =>
    kind === 'paid' ? state === 'finalized' : state !== 'finalized' && state !== 'failed'
  const account = kind === 'paid' ? accounts.paid : accounts.inPayout
  const lines = addUp(paying, ({ payee, state }) => (isIn(state) ? account(payee) : undefined))
  return same(name, ofKind(balances, kind), lines, good)
}

function covered({ liabilities }: Books, { units }: Holdings): Check {
  const detail = `the treasury holds ${units}, ${liabilities} are owed`
  return { name: 'the treasury covers what is owed', ok: units >= liabilities, detail }
}

/** `holdings`: of the treasury, when the chain could be read. */
export async function checkLedger(
  db: Kysely<Database>,
  { holdings }: { readonly holdings?: Holdings | undefined } = {},
): Promise<LedgerReport> {
  const books = await readBooks(db, holdings?.landed ?? [])
  // A closed epoch changes no more, so it may be read after the snapshot.
  const tampered = await commitmentFaults(db, books.closed)
  const once = 'every task has at most one paid receipt'
  const kept = 'every held receipt has its price reserved'
  const checks = [
    same('balances equal their transfers', books.balances, heldByFlows(books.flows), 'recomputed'),
    balanced(books),
    enteredRightly(books),
    none('deposits are credited once and in full', books.uncredited, 'deposit(s) not credited', 'every one as it came'),
    notOverdrawn(books),
    reserved(books),
    none('held receipts keep their price', books.bereft, 'task(s) whose price is gone', kept),
    earnings(books),
    pending(books),
    matured(books),
    none(
      'epochs hold the receipts that they committed to',
      tampered,
      'epoch(s)',
      `${books.closed.length} closed epoch(s)`,
    ),
    none('no task is paid twice', books.paidTwice, 'task(s)', once),
    inPayouts('money in payout belongs to open payouts', books, 'in-payout', 'in payout'),
    inPayouts('paid money belongs to finalized payouts', books, 'paid', 'paid'),
    ...(holdings === undefined ? [] : [covered(books, holdings)]),
  ]
  return { ok: checks.every((check) => check.ok), checks }
}
