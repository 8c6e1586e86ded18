import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { createAside } from '../../console/rewards/aside.ts'
import { post, type Transfer } from '../../console/rewards/ledger.ts'
import { isPayee, statementOf } from '../../console/rewards/statement.ts'
import { csvCell, decimalOf, statementCsv } from '../../console/routes/views/statement-csv.ts'
import type { Store } from '../../console/store/open.ts'
import { addRequester, enrol, type Folder, makeFolder, openStore } from '../market/pool.ts'

let folder: Folder
let store: Store

const DAY = Date.parse('2026-11-20')
const HOUR = 3_600_000
const token = { symbol: 'BRMB', decimals: 6 }

/** Two answers on the first day, one on the second; the owner paid on the third, less the rent of its account. */
beforeEach(async () => {
  folder = makeFolder()
  store = await openStore(folder)
  await enrol(store, 'owner-a')
  await addRequester(store, 'req-a')
  const [budget, reserved, pending] = [
    accounts.budget('req-a'),
    accounts.reserved('req-a'),
    accounts.pending('owner-a'),
  ]
  const [payable, inPayout] = [accounts.payable('owner-a'), accounts.inPayout('owner-a')]
  const settle = (ref: string, at: number): Transfer[] => [
    { kind: 'reserve', ref, from: budget, to: reserved, amount: 100n, at: at - 1 },
    { kind: 'earn', ref, from: reserved, to: pending, amount: 85n, at },
    { kind: 'fee', ref, from: reserved, to: accounts.operatorFees, amount: 10n, at },
    { kind: 'royalty', ref, from: reserved, to: accounts.royalty('p'), amount: 5n, at },
  ]
  const transfers: Transfer[] = [
    { kind: 'deposit', ref: '=sig', from: 'outside', to: budget, amount: 1_000n, at: DAY },
    ...settle('t1', DAY + HOUR),
    ...settle('t2', DAY + 2 * HOUR),
    ...settle('t3', DAY + 25 * HOUR),
    { kind: 'mature', ref: 'epoch:1', from: pending, to: payable, amount: 255n, at: DAY + 48 * HOUR },
    { kind: 'payout', ref: 'e1-1/1', from: payable, to: inPayout, amount: 248n, at: DAY + 48 * HOUR },
    { kind: 'account-fee', ref: 'e1-1/1', from: payable, to: accounts.operatorFees, amount: 7n, at: DAY + 48 * HOUR },
    { kind: 'paid', ref: 'e1-1/1', from: inPayout, to: accounts.paid('owner-a'), amount: 248n, at: DAY + 49 * HOUR },
  ]
  for (const transfer of transfers) await store.db.transaction().execute((trx) => post(trx, [transfer]))
})

afterEach(async () => {
  await store.close()
  folder.remove()
})

const rowsOf = async (payee: string, from = 0, to = DAY + 100 * HOUR) => {
  const { opening, lines, closing } = await statementOf(store.db, { payee, from, to })
  return [opening, ...lines.map(({ what, ref, count, amount }) => [what, ref, count, amount]), closing]
}

test('an owner sees its answers by day, what was withheld and what was paid out', async () => {
  expect(await rowsOf('owner-a')).toEqual([
    0n,
    ['answers', '2026-11-20', 2, 170n],
    ['answers', '2026-11-21', 1, 85n],
    ['rent of the token account', 'e1-1/1', 1, -7n],
    ['paid out', 'e1-1/1', 1, -248n],
    0n,
  ])
})

test('a requester sees deposits and what its answers cost, whoever got which part; a publisher its royalties', async () => {
  expect(await rowsOf('requester/req-a')).toEqual([
    0n,
    ['deposit', '=sig', 1, 1_000n],
    ['answers', '2026-11-20', 2, -200n],
    ['answers', '2026-11-21', 1, -100n],
    700n,
  ])
  expect(await rowsOf('publisher/p')).toEqual([
    0n,
    ['answers', '2026-11-20', 2, 10n],
    ['answers', '2026-11-21', 1, 5n],
    15n,
  ])
})

test('what comes between the answers of a day divides them, so that the balance after each line was there', async () => {
  const more: Transfer = {
    kind: 'grant',
    ref: 'g',
    from: 'outside',
    to: accounts.budget('req-a'),
    amount: 5n,
    at: DAY + 1.5 * HOUR,
  }
  await store.db.transaction().execute((trx) => post(trx, [more]))
  expect((await rowsOf('requester/req-a')).slice(1, 5)).toEqual([
    ['deposit', '=sig', 1, 1_000n],
    ['answers', '2026-11-20', 1, -100n],
    ['credit by the operator', 'g', 1, 5n],
    ['answers', '2026-11-20', 1, -100n],
  ])
})

test('a statement begins with what was there before, and ends just before its end', async () => {
  expect(await rowsOf('owner-a', DAY + 2 * HOUR, DAY + 49 * HOUR)).toEqual([
    85n,
    ['answers', '2026-11-20', 1, 85n],
    ['answers', '2026-11-21', 1, 85n],
    ['rent of the token account', 'e1-1/1', 1, -7n],
    248n,
  ])
  expect(await rowsOf('owner-a', DAY + 90 * HOUR)).toEqual([0n, 0n])
})

test('only what is there is a payee', async () => {
  for (const payee of ['owner-a', 'requester/req-a', 'publisher/p']) expect(await isPayee(store.db, payee)).toBe(true)
  for (const payee of ['owner-b', 'requester/x', 'publisher/x', 'robot/p', '', 'requester/'])
    expect(await isPayee(store.db, payee), payee).toBe(false)
})

test('as CSV it opens, adds up and closes, and no cell can be a formula', async () => {
  const made = await statementOf(store.db, { payee: 'requester/req-a', from: DAY, to: DAY + 24 * HOUR })
  expect(statementCsv(made, token)).toBe(
    [
      'time,payee,what,reference,count,amount_units,amount_BRMB,balance_units,balance_BRMB',
      '2026-11-20T00:00:00.000Z,requester/req-a,opening balance,,,,,0,0.000000',
      '2026-11-20T00:00:00.000Z,requester/req-a,deposit,"\'=sig",1,1000,0.001000,1000,0.001000',
      '2026-11-20T02:00:00.000Z,requester/req-a,answers,2026-11-20,2,-200,-0.000200,800,0.000800',
      '2026-11-21T00:00:00.000Z,requester/req-a,closing balance,,,,,800,0.000800',
      '',
    ].join('\r\n'),
  )
})

test('whatever a cell holds, it reads back as that text, begins no formula and breaks no row', () => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '=1+1',
      '+1',
      '-1+2',
      '@SUM(A1)',
      '\t=1',
      '\r=1',
      '"',
      'a,b',
      'a\nb',
      "'=1",
      '=HYPERLINK("http://x","y")',
    ),
  )
  fc.assert(
    fc.property(text, (cell) => {
      const written = csvCell(cell)
      const quoted = written.startsWith('"')
      if (quoted) expect(written.slice(1, -1).replaceAll('""', '')).not.toContain('"')
      else expect(written).not.toMatch(/[",\r\n]/)
      const read = quoted ? written.slice(1, -1).replaceAll('""', '"') : written
      if (/^-?\d+(\.\d+)?$/.test(cell)) expect(read).toBe(cell)
      else expect(read).not.toMatch(/^[=+\-@\t\r]/)
      expect(read === cell || read === `'${cell}`).toBe(true)
    }),
    { numRuns: 500 },
  )
})

test('units as tokens lose nothing', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n }), fc.nat({ max: 9 }), (units, decimals) => {
      const text = decimalOf(units, decimals)
      expect(BigInt(text.replace('.', ''))).toBe(units)
      expect(text.includes('.') ? text.split('.')[1]?.length : 0).toBe(decimals)
    }),
  )
})

test('the thread beside answers as the modules do, one question at a time, and passes faults on', async () => {
  const aside = createAside(store.file)
  const period = { payee: 'owner-a', from: 0, to: DAY + 100 * HOUR }
  const [report, statement, proof] = await Promise.all([
    aside.check({ units: 10n, landed: [] }),
    aside.statement(period),
    aside.proof(7, 'treasury'),
  ])
  expect(statement).toEqual(await statementOf(store.db, period))
  expect(report.checks.at(-1)).toMatchObject({ name: 'the treasury covers what is owed', ok: false })
  expect(proof).toMatchObject({ refused: 'unknown-receipt' })
  await expect(createAside(`${store.file}-nowhere`).check(undefined)).rejects.toThrow(/unable to open/)
})
