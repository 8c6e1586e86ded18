// What the treasury holds over what it owes, as page, metrics and ledger check say it, at every step of a payout and of a sweep.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { checkLedger } from '../../console/rewards/check.ts'
import { createMoneyViews } from '../../console/routes/views/money.ts'
import { createDeposits } from '../../console/settlement/deposits.ts'
import { createHoldings } from '../../console/settlement/holdings.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { createLab, type Lab, silent } from './lab.ts'
import { createWorld, type World } from './payout-world.ts'
import { createWallet } from './wallet.ts'

const FINAL_MS = 40 * 400
/** What makeTreasury gives. */
const HELD = 10n ** 12n

let lab: Lab
let token: Token
beforeAll(async () => {
  lab = await createLab()
  token = await lab.makeToken()
})
afterAll(() => lab.close())

const open = (world: World) => {
  const { db } = world.store
  const solana = lab.client(async (_method, _body, forward) => forward(), world.treasury)
  // Nothing is kept from before.
  let moment = 0
  const holdings = createHoldings({ db, solana, mint: token.mint, now: () => (moment += 10_000) })
  const { coverage } = createMoneyViews({
    db,
    now: lab.clock.now,
    boardsOf: () => 0,
    troubles: () => [],
    held: async () => [],
    payouts: { epochs: async () => [] },
    treasury: {
      cluster: 'local',
      token: { ...token, symbol: 'X' },
      address: world.treasury.address,
      holdings,
      balanceOf: async () => undefined,
    },
  })
  const checked = async () => (await checkLedger(db, { holdings: await holdings() })).checks.at(-1)
  return { solana, holdings, coverage, checked }
}

it('counts what is planned and cannot be paid', async () => {
  const world = await createWorld({ lab, token, amounts: [100n * HELD] })
  const { coverage, checked } = open(world)
  expect(await coverage()).toMatchObject({ liabilities: String(100n * HELD), coverage: 0.01 })
  const engine = world.engine()
  await engine.settleNow()
  expect(engine.standing().trouble).toMatch(/^payouts wait: the treasury holds/)
  expect(world.moves).toEqual([expect.stringMatching(/planned$/)])
  expect(await coverage()).toMatchObject({ liabilities: String(100n * HELD), coverage: 0.01 })
  expect(await checked()).toMatchObject({ name: 'the treasury covers what is owed', ok: false })
  await world.close()
})

it('is never less than whole while a treasury that holds just enough pays it all', async () => {
  const world = await createWorld({ lab, token, amounts: [HELD / 4n, HELD / 4n, HELD / 2n] })
  const { coverage, checked } = open(world)
  const seen: (number | undefined)[] = []
  const see = async (): Promise<void> => {
    seen.push((await coverage()).coverage)
    expect(await checked()).toMatchObject({ ok: true })
  }
  await see()
  const engine = world.engine()
  await engine.settleNow()
  for (let turn = 0; turn < 30; turn++) {
    await see()
    lab.clock.advance(1_000)
    await see()
    await engine.turn()
  }
  expect(world.moves.at(-1)).toMatch(/finalized$/)
  expect(seen.filter((one) => one !== undefined && one < 1)).toEqual([])
  expect(seen[0]).toBe(1)
  expect(seen.at(-1), 'nothing is owed any more').toBeUndefined()
  await world.close()
})

it('counts a deposit once, wherever it lies, while it is swept', async () => {
  const world = await createWorld({ lab, token, amounts: [1n] })
  const { db } = world.store
  const { solana, holdings } = open(world)
  await db
    .insertInto('requesters')
    .values({ id: 'ann', name: 'Ann', key_hash: 'h', owner_id: null, created_at: 0 })
    .execute()
  const chain = solana.deposits(token)
  const deposits = createDeposits({
    db,
    chain,
    mint: token.mint,
    minimumUnits: 1n,
    now: lab.clock.now,
    everyMs: 1,
    credited: () => undefined,
    log: silent,
  })
  const { wallet, account } = await deposits.addressOf('ann')
  await (await createWallet(lab, token, 5_000n)).pay(wallet, 5_000n)
  lab.clock.advance(FINAL_MS)
  const steps = [async () => undefined, deposits.turn, async () => lab.clock.advance(FINAL_MS), deposits.turn]
  for (const step of steps) {
    await step()
    expect(await holdings()).toMatchObject({ units: HELD + 5_000n })
  }
  expect(await chain.balances([account]), 'it was swept').toEqual([0n])
  await world.close()
})
