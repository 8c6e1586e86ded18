// `bramble rewards …` as an operator and a board's owner type it, against a running console and its local chain.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { EpochDetail } from '../../console/routes/rewards.ts'
import type { LedgerCheck, ReceiptView, Rewards, StatementView } from '../../console/routes/shapes.ts'
import {
  PACKAGE_ROOT,
  startTestBoard,
  startTestConsole,
  type TestBoard,
  type TestConsole,
  until,
} from './running-console.ts'

let here: TestConsole
let board: TestBoard
let receipts: readonly ReceiptView[]

/** Exit code and both outputs of one command. */
const bramble = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const main = join(PACKAGE_ROOT, 'console/bramble.js')
    const child = execFile(process.execPath, [main, ...args], (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out: out.trim(), err: err.trim() }),
    )
  })
const rewards = (...args: string[]) => bramble('rewards', ...args, '--url', here.url, '--token', here.keys.token)
const json = async <T>(path: string, init?: RequestInit): Promise<T> =>
  (await (await here.call(path, init)).json()) as T
const post = (path: string, body: object) =>
  here.call(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

async function answered(id: string): Promise<TestBoard['tasks'][number]> {
  const body = Buffer.from([0xff, 0xd8, 0xff, 0xe0, ...Buffer.from(id)])
  const asked = here.call(`/api/tasks?model=mobilenet-v1&wait=1&id=${id}`, { method: 'POST', body })
  const task = await until(() => board.tasks.find((one) => !done.has(one.id)), 'the task to reach the board')
  done.add(task.id)
  await board.answer(task)
  expect((await asked).status).toBe(200)
  return task
}
const done = new Set<string>()

/** Two good receipts, then two that name another input. */
beforeAll(async () => {
  here = await startTestConsole()
  board = await startTestBoard(here)
  await board.receipt([await answered('a'), await answered('b')])
  const lie = { input: 'cd'.repeat(32) }
  await board.receipt([
    { ...(await answered('c')), ...lie },
    { ...(await answered('d')), ...lie },
  ])
  receipts = (await json<{ receipts: ReceiptView[] }>(`/api/devices/${board.id}`)).receipts.toSorted(
    (a, b) => a.id - b.id,
  )
})
afterAll(async () => {
  await board.link.close()
  await here.close()
})

const idOf = (at: number): string => String(receipts[at]?.id)

it('releases and forfeits what was held, once, with the reason that was given', async () => {
  expect(receipts.map(({ state }) => state)).toEqual(['credited', 'credited', 'held', 'held'])
  expect(await rewards('release', idOf(2))).toMatchObject({ code: 1, err: '--reason is needed' })
  expect(await rewards('release', idOf(2), '--reason', 'seen by hand')).toMatchObject({
    code: 0,
    out: `Receipt ${idOf(2)} of ${board.name} is credited (90 base units).`,
  })
  expect(await rewards('forfeit', idOf(3), '--reason', 'made up')).toMatchObject({ code: 0 })
  expect(await rewards('forfeit', idOf(2), '--reason', 'again')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/refused: Receipt \d+ is credited; only a held one waits for a decision\.$/),
  })
  expect((await post('/api/rewards/receipts/999/release', { reason: 'x' })).status).toBe(404)
  expect((await post(`/api/rewards/receipts/${idOf(3)}/release`, { reason: ' ' })).status).toBe(400)
  expect(await json<LedgerCheck>('/api/ledger/check')).toMatchObject({ ok: true })
})

it('gives the proof of a receipt once its payout is final, which holds without the console', async () => {
  expect(await rewards('proof', idOf(0))).toMatchObject({ code: 1, err: expect.stringMatching(/in no closed epoch/) })
  expect((await here.call('/api/payouts', { method: 'POST' })).status).toBe(200)
  const file = join(here.data, 'proof.json')
  const path = `/api/rewards/receipts/${idOf(1)}/proof`
  await until(async () => (await here.call(path)).ok || undefined, 'the payout to be final')
  expect(await rewards('proof', idOf(1), '--out', file)).toMatchObject({ code: 0, out: `Written to ${file}.` })
  const { treasury } = await json<Rewards>('/api/rewards')
  const flags = ['--treasury', treasury.address, '--rpc-url', here.money.rpcUrl]
  const verified = await bramble('rewards', 'verify', file, ...flags)
  expect(verified).toMatchObject({
    code: 0,
    err: '',
    out: expect.stringMatching(/finalized: slot \d+\nThe proof of receipt/),
  })
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ receipt: { id: receipts[1]?.id, device: board.id } })
  const other = await bramble('rewards', 'verify', file, '--treasury', '11111111111111111111111111111111')
  expect(other).toMatchObject({ code: 1, out: expect.stringMatching(/NOT hold\.$/) })
  const epoch = await json<EpochDetail>('/api/rewards/epochs/1')
  expect(epoch.receipts.map(({ id }) => String(id)).toSorted()).toEqual([idOf(0), idOf(1), idOf(2)].toSorted())
})

it("tells a board's own receipts and their proofs to whoever holds its credential, and to nobody else", async () => {
  const own = await here.call('/boards/receipts', {}, board.credential)
  expect(await own.json()).toMatchObject([
    { id: receipts[3]?.id },
    { id: receipts[2]?.id },
    {},
    { id: receipts[0]?.id },
  ])
  const path = `/boards/receipts/${idOf(1)}/proof`
  const proof = await here.call(path, {}, board.credential)
  expect(await proof.json()).toEqual(await json(`/api/rewards/receipts/${idOf(1)}/proof`))
  const other = await startTestBoard(here)
  expect((await here.call(path, {}, other.credential)).status).toBe(404)
  expect(await (await here.call('/boards/receipts', {}, other.credential)).json()).toEqual([])
  expect((await here.call(path)).status, "the operator's token is no board's").toBe(401)
  expect((await here.call('/boards/receipts', {}, here.seeded.apiKey)).status).toBe(401)
  await other.link.close()
})

it('writes statements that open, add up and close, of those whom it knows', async () => {
  const owner = await json<StatementView>('/api/rewards/statements/demo')
  expect(owner.lines.map(({ what, amount }) => [what, amount])).toEqual([
    ['answers', '270'],
    ['paid out', '-270'],
  ])
  expect([owner.opening, owner.closing, owner.token.symbol]).toEqual(['0', '0', 'BRMB'])
  const { code, out } = await rewards('statement', 'requester/demo')
  const lines = out.split(/\r?\n/)
  expect([code, lines.length]).toEqual([0, 5])
  expect(lines[2]).toMatch(/,requester\/demo,credit by the operator,demo:first,1,1000000000,1000\.000000,/)
  expect(lines[3]).toMatch(/,requester\/demo,answers,\d{4}-\d\d-\d\d,3,-300,-0\.000300,999999700,/)
  const csv = await here.call('/api/rewards/statements/demo?format=csv&from=2020-01-01')
  expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8')
  expect(csv.headers.get('content-disposition')).toBe('attachment; filename="demo.csv"')
  expect(await rewards('statement', 'nobody')).toMatchObject({ code: 1, err: expect.stringMatching(/no payee nobody/) })
  expect((await here.call('/api/rewards/statements/demo?from=yesterday')).status).toBe(400)
  expect((await here.call('/api/rewards/statements/demo', {}, here.seeded.apiKey)).status).toBe(403)
})
