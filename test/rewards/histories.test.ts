import fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, expect, test } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { checkLedger } from '../../console/rewards/check.ts'
import { leavesOf } from '../../console/rewards/commitments.ts'
import { balanceOf } from '../../console/rewards/ledger.ts'
import { createFrontier, FIRST_HEAD, nextHead } from '../../console/rewards/merkle.ts'
import { statementOf } from '../../console/rewards/statement.ts'
import type { Store } from '../../console/store/open.ts'
import { PRICE } from '../market/pool.ts'
import { beginLife, history, type Life, OWNERS, REQUESTERS } from './history.ts'

/** Looks at a life: after each step with what it saw before, and once at its end. */
interface Watch<T> {
  readonly begin: T
  readonly after?: (life: Life, before: T) => Promise<T>
  readonly end?: (life: Life) => Promise<void>
}

const HISTORIES = 40
/** What happened in all histories together: a property over lives in which nothing happens would say nothing. */
const happened = new Map<string, number>()

async function live<T>({ begin, after, end }: Watch<T>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(history, async (steps) => {
      const life = await beginLife()
      try {
        let seen = begin
        for (const step of steps) {
          await life.take(step)
          if (after) seen = await after(life, seen)
        }
        await end?.(life)
        await count(life.store)
      } finally {
        await life.end()
      }
    }),
    { numRuns: HISTORIES },
  )
}

async function count({ db }: Store): Promise<void> {
  const { rows } = await sql<{ what: string; count: number }>`
    select kind as what, count(*) as count from transfers group by kind
    union all select state, count(*) from receipts group by state
    union all select reason, count(*) from receipts where reason is not null group by reason`.execute(db)
  for (const { what, count } of rows) happened.set(what, (happened.get(what) ?? 0) + count)
}

const transfersOf = ({ store }: Life) => store.db.selectFrom('transfers').selectAll().orderBy('id').execute()
type Transfers = Awaited<ReturnType<typeof transfersOf>>

const sumOf = (rows: Transfers, ...kinds: string[]): bigint =>
  rows.filter(({ kind }) => kinds.includes(kind)).reduce((sum, row) => sum + row.amount_units, 0n)

const holdings = async ({ store: { db } }: Life): Promise<Map<string, bigint>> =>
  new Map((await db.selectFrom('accounts').selectAll().execute()).map((row) => [row.id, row.balance_units]))

test('every transfer sums to zero, and balances are their sums, none below zero', async () => {
  await live({
    begin: undefined,
    async end(life) {
      const sums = new Map<string, bigint>()
      for (const { from_account, to_account, amount_units } of await transfersOf(life)) {
        sums.set(from_account, (sums.get(from_account) ?? 0n) - amount_units)
        sums.set(to_account, (sums.get(to_account) ?? 0n) + amount_units)
      }
      const held = await holdings(life)
      expect(sums).toEqual(held)
      expect([...held.values()].reduce((a, b) => a + b, 0n)).toBe(0n)
      expect([...held].filter(([id, units]) => units < 0n && id !== 'outside')).toEqual([])
    },
  })
})

test('deposits + grants = budgets + reserved + pending + payable + fees + royalties + in payout + paid, after every step', async () => {
  await live({
    begin: undefined,
    async after(life) {
      const held = await holdings(life)
      const inside = [...held].reduce((sum, [id, units]) => (id === 'outside' ? sum : sum + units), 0n)
      expect(inside).toBe(sumOf(await transfersOf(life), 'deposit', 'grant'))
    },
  })
})

test('what an owner has earned, what was paid, and what epochs committed to never becomes less', async () => {
  const earned = async (life: Life): Promise<readonly bigint[]> => {
    const rows = await transfersOf(life)
    const to = (kind: string, account: string) =>
      sumOf(
        rows.filter((row) => row.to_account === account),
        kind,
      )
    return OWNERS.flatMap((owner) => [to('earn', accounts.pending(owner)), to('paid', accounts.paid(owner))])
  }
  const heads = async ({ store: { db } }: Life): Promise<readonly unknown[]> =>
    db.selectFrom('epochs').select(['id', 'root', 'head', 'leaves']).where('closed_at', 'is not', null).execute()
  await live<{ sums: readonly bigint[]; heads: readonly unknown[] }>({
    begin: { sums: OWNERS.flatMap(() => [0n, 0n]), heads: [] },
    async after(life, before) {
      const now = { sums: await earned(life), heads: await heads(life) }
      expect(now.sums.filter((sum, index) => sum < (before.sums[index] ?? 0n))).toEqual([])
      expect(now.heads.slice(0, before.heads.length)).toEqual(before.heads)
      return now
    },
  })
})

test('no receipt is credited twice, and no task by two receipts', async () => {
  await live({
    begin: undefined,
    async end(life) {
      const earn = (await transfersOf(life)).filter(({ kind }) => kind === 'earn').map(({ ref }) => ref)
      expect(new Set(earn).size).toBe(earn.length)
      const credited = life.store.db.selectFrom('receipts').select('task_id').where('state', '=', 'credited')
      const tasks = (await credited.where('amount_units', '>', 0n).execute()).map((row) => row.task_id)
      expect(tasks.toSorted()).toEqual(earn.toSorted())
    },
  })
})

test('the price of each task is reserved once and leaves once: to owner, operator and publisher together, or back', async () => {
  await live({
    begin: undefined,
    async end(life) {
      const byTask = Map.groupBy(
        (await transfersOf(life)).filter(({ kind }) => ['reserve', 'release', 'earn', 'fee', 'royalty'].includes(kind)),
        ({ ref }) => ref,
      )
      const tasks = await life.store.db.selectFrom('tasks').select(['id', 'settled_at']).execute()
      const settled = new Map(tasks.map((row) => [row.id, row.settled_at !== null]))
      for (const [task, rows] of byTask) {
        expect(sumOf(rows, 'reserve')).toBe(PRICE)
        const [paid, back] = [sumOf(rows, 'earn', 'fee', 'royalty'), sumOf(rows, 'release')]
        expect([`${PRICE} 0`, `0 ${PRICE}`, '0 0']).toContain(`${paid} ${back}`)
        // A task that is forgotten was settled before.
        expect(settled.get(task) ?? true).toBe(paid + back > 0n)
      }
    },
  })
})

test('whatever an owner or publisher earned is in the hold, payable, in a payout, withheld or paid, and nothing else is', async () => {
  await live({
    begin: undefined,
    async end(life) {
      const rows = await transfersOf(life)
      const held = await holdings(life)
      const of = (...ids: string[]) => ids.reduce((sum, id) => sum + (held.get(id) ?? 0n), 0n)
      for (const owner of OWNERS) {
        const got = sumOf(
          rows.filter(({ to_account }) => to_account === accounts.pending(owner)),
          'earn',
        )
        const withheld =
          sumOf(
            rows.filter(({ from_account }) => from_account === accounts.payable(owner)),
            'account-fee',
          ) -
          sumOf(
            rows.filter(({ to_account }) => to_account === accounts.payable(owner)),
            'account-fee',
          )
        expect(of(`pending:${owner}`, `payable:${owner}`, `in-payout:${owner}`, `paid:${owner}`)).toBe(got - withheld)
      }
    },
  })
})

test('roots and heads are those of the receipts, and every paid receipt out of the hold is in one epoch', async () => {
  await live({
    begin: undefined,
    async end({ store: { db } }) {
      let head: Uint8Array = FIRST_HEAD
      for (const epoch of await db.selectFrom('epochs').selectAll().where('closed_at', 'is not', null).execute()) {
        const tree = createFrontier()
        for await (const leaf of leavesOf(db, epoch.id)) tree.add(leaf)
        head = nextHead(head, epoch.id, tree.root())
        expect([epoch.root, epoch.head, epoch.leaves]).toEqual([
          Buffer.from(tree.root()).toString('hex'),
          Buffer.from(head).toString('hex'),
          tree.size,
        ])
      }
    },
  })
})

test('statements add up to what there is, over the whole time and over any two parts of it', async () => {
  await live({
    begin: undefined,
    async end({ store: { db }, pool }) {
      const end = pool.clock.now + 1
      const middle = 1_000_000 + Math.floor((end - 1_000_000) / 2)
      const payees: [string, string[]][] = [
        ...OWNERS.map((id): [string, string[]] => [id, [`pending:${id}`, `payable:${id}`, `in-payout:${id}`]]),
        ...REQUESTERS.map((id): [string, string[]] => [
          `requester/${id}`,
          [`budget:${id}`, `reserved:${id}`, `in-payout:requester/${id}`],
        ]),
        ['publisher/publisher-p', ['royalty:publisher-p', 'in-payout:publisher/publisher-p']],
        ['operator/fees', ['fee:operator', 'in-payout:operator/fees']],
      ]
      for (const [payee, ids] of payees) {
        const held = await Promise.all(ids.map((id) => balanceOf(db, id as 'outside')))
        const whole = await statementOf(db, { payee, from: 0, to: end })
        expect([whole.opening, whole.closing]).toEqual([0n, held.reduce((a, b) => a + b, 0n)])
        const first = await statementOf(db, { payee, from: 0, to: middle })
        const second = await statementOf(db, { payee, from: middle, to: end })
        expect([second.opening, second.closing]).toEqual([first.closing, whole.closing])
        for (const { opening, lines, closing } of [whole, first, second]) {
          expect(lines.reduce((sum, { amount }) => sum + amount, opening)).toBe(closing)
          expect(lines.at(-1)?.balance ?? opening).toBe(closing)
          expect(lines.filter(({ balance }) => balance < 0n)).toEqual([])
          expect(lines.map(({ at }) => at)).toEqual(lines.map(({ at }) => at).toSorted((a, b) => a - b))
        }
      }
    },
  })
})

test('the check finds nothing, after every step', async () => {
  await live({
    begin: undefined,
    async after({ store: { db } }) {
      expect((await checkLedger(db)).checks.filter(({ ok }) => !ok)).toEqual([])
    },
  })
})

afterAll(() => {
  const expected = ['deposit', 'grant', 'reserve', 'release', 'earn', 'fee', 'royalty', 'mature', 'payout', 'paid']
  expected.push('payout-failed', 'account-fee', 'credited', 'held', 'rejected', 'forfeited')
  expected.push('claimed-before', 'digest-mismatch', 'digest-mismatch; released: looked at')
  expected.push('digest-mismatch; forfeited: looked at')
  expect(expected.filter((what) => (happened.get(what) ?? 0) < 5)).toEqual([])
})
