import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type AccountId, accounts, holderOf, kindOf } from '../../console/rewards/accounts.ts'
import { checkLedger } from '../../console/rewards/check.ts'
import { balanceOf, LedgerError, post, type Transfer } from '../../console/rewards/ledger.ts'
import type { Store } from '../../console/store/open.ts'
import { type Folder, makeFolder, openStore } from '../market/pool.ts'

let folder: Folder
let store: Store

beforeEach(async () => {
  folder = makeFolder()
  store = await openStore(folder)
})

afterEach(async () => {
  await store.close()
  folder.remove()
})

const run = (transfers: readonly Transfer[]) => store.db.transaction().execute((trx) => post(trx, transfers))
const deposit = (ref: string, amount: bigint): Transfer => ({
  kind: 'deposit',
  ref,
  from: accounts.outside,
  to: accounts.budget('r'),
  amount,
  at: 1,
})
const reserve = (ref: string, amount: bigint): Transfer => ({
  kind: 'reserve',
  ref,
  from: accounts.budget('r'),
  to: accounts.reserved('r'),
  amount,
  at: 2,
})

test('amounts beyond 2^53 stay exact', async () => {
  const amount = 2n ** 61n + 1n
  await run([deposit('d', amount)])
  expect(await balanceOf(store.db, accounts.budget('r'))).toBe(amount)
  expect(await balanceOf(store.db, accounts.outside)).toBe(-amount)
})

test('posting the same again changes nothing; posting it otherwise is a conflict', async () => {
  expect(await run([deposit('d', 10n), deposit('d', 10n), deposit('e', 1n)])).toBe(2)
  expect(await run([deposit('d', 10n)])).toBe(0)
  expect(await balanceOf(store.db, accounts.budget('r'))).toBe(11n)
  await expect(run([deposit('f', 5n), deposit('d', 11n)])).rejects.toMatchObject({ code: 'conflict' })
  expect(await balanceOf(store.db, accounts.budget('r'))).toBe(11n)
})

test('what an account does not hold cannot leave it, and nothing of that transaction happened', async () => {
  await run([deposit('d', 10n)])
  const fault = run([reserve('t1', 6n), reserve('t2', 5n)])
  await expect(fault).rejects.toBeInstanceOf(LedgerError)
  await expect(fault).rejects.toMatchObject({
    code: 'insufficient',
    account: 'budget:r',
    message: expect.stringContaining('holds 10'),
  })
  expect(await balanceOf(store.db, accounts.budget('r'))).toBe(10n)
  expect(await store.db.selectFrom('transfers').selectAll().execute()).toHaveLength(1)
})

test('a transfer of nothing or less is refused', async () => {
  for (const amount of [0n, -1n])
    await expect(run([deposit('d', amount)])).rejects.toMatchObject({ code: 'not-positive' })
})

test('account ids say their kind and holder', () => {
  expect(['outside', 'fee:operator', 'in-payout:o:1'].map((id) => [kindOf(id), holderOf(id)])).toEqual([
    ['outside', ''],
    ['fee', 'operator'],
    ['in-payout', 'o:1'],
  ])
  expect(() => kindOf('wallet:x')).toThrow(RangeError)
})

test('over random histories the balances equal a plain model and every transfer sums to zero', async () => {
  const names: AccountId[] = [accounts.outside, accounts.budget('a'), accounts.reserved('a'), accounts.pending('o')]
  const transfer = fc.record({
    from: fc.nat({ max: names.length - 1 }),
    to: fc.nat({ max: names.length - 1 }),
    ref: fc.nat({ max: 30 }),
    amount: fc.bigInt({ min: 1n, max: 100n }),
  })
  const history = fc.array(fc.array(transfer, { minLength: 1, maxLength: 6 }), { maxLength: 25 })
  let runs = 0
  await fc.assert(
    fc.asyncProperty(history, async (batches) => {
      const prefix = `run-${++runs}`
      const model = new Map(await Promise.all(names.map(async (id) => [id, await balanceOf(store.db, id)] as const)))
      const posted = new Map<string, string>()
      for (const batch of batches) {
        const transfers = batch
          .filter(({ from, to }) => from !== to)
          .map(({ from, to, ref, amount }): Transfer => {
            return { kind: 'deposit', ref: `${prefix}-${ref}`, from: names[from]!, to: names[to]!, amount, at: 0 }
          })
        const [nextModel, nextPosted] = [new Map(model), new Map(posted)]
        let expected: string = 'ok'
        for (const { ref, from, to, amount } of transfers) {
          const [key, terms] = [`${ref}>${to}`, `${from} ${amount}`]
          const before = nextPosted.get(key)
          if (before !== undefined && before !== terms) expected = 'conflict'
          if (before !== undefined) continue
          nextPosted.set(key, terms)
          nextModel.set(from, nextModel.get(from)! - amount)
          nextModel.set(to, nextModel.get(to)! + amount)
        }
        const isShort = [...nextModel].some(([id, balance]) => id !== 'outside' && balance < 0n)
        if (expected === 'ok' && isShort) expected = 'insufficient'
        const outcome = await run(transfers).then(
          () => 'ok',
          (error: LedgerError) => error.code,
        )
        expect(outcome).toBe(expected)
        if (outcome !== 'ok') continue
        for (const [id, balance] of nextModel) model.set(id, balance)
        for (const [key, terms] of nextPosted) posted.set(key, terms)
      }
      for (const [id, balance] of model) expect(await balanceOf(store.db, id)).toBe(balance)
      const { checks } = await checkLedger(store.db)
      expect(checks.find(({ name }) => name === 'balances equal their transfers')).toMatchObject({ ok: true })
    }),
    { numRuns: 60 },
  )
})
