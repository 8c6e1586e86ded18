// An RPC that keeps only part of the treasury's history, or none: its silence is no proof that nothing was paid.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { HistoryEntry, PayoutChain } from '../../console/settlement/payer.ts'
import { createPayouts, type Payouts } from '../../console/settlement/payouts.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { settleAndFinish as settle } from './driving.ts'
import { createLab, type Lab, silent } from './lab.ts'
import { createWorld, SETTINGS, type World } from './payout-world.ts'

let lab: Lab
let token: Token
let world: World
beforeAll(async () => {
  lab = await createLab()
  token = await lab.makeToken()
})
afterAll(() => lab.close())
afterEach(() => world.close())

const settleAndFinish = (engine: Payouts): Promise<void> => settle(lab, engine)
/** Two owners paid once, and owed again; what came to the treasury before is final. */
const paidBefore = async (): Promise<void> => {
  world = await createWorld({ lab, token, amounts: [7n, 7n] })
  lab.clock.advance(20_000)
  await settleAndFinish(world.engine())
  for (const { id } of world.owners) await world.credit(id, 1_000n)
}
/** Its history as the RPC tells it; and it cuts batches otherwise than the console that was lost. */
const engineWith = (history: PayoutChain['history']): Payouts => {
  const real = world.chain()
  return createPayouts({
    db: world.store.db,
    chain: {
      ...real,
      history,
      sizeOf: (...asked) => real.sizeOf(...asked) + (asked[0].lines.length > 1 ? 2_000 : 0),
    },
    holder: 'console-1',
    now: lab.clock.now,
    log: silent,
    moved: () => undefined,
    settings: SETTINGS,
  })
}
const marks = () => world.store.db.selectFrom('meta').selectAll().where('key', 'like', 'payouts.compared%').execute()
const expectPaidOnce = async (): Promise<void> => {
  for (const { wallet, owed } of await world.ledger()) expect(await world.held(wallet)).toBe(owed)
}
/** Of the treasury alone: the accounts of markers are asked about as ever. */
const cut = (keeps: (entry: HistoryEntry) => boolean): PayoutChain['history'] => {
  const real = world.chain()
  return async (address, options) => {
    const page = await real.history(address, options)
    return address === world.treasury.address ? page.filter(keeps) : page
  }
}

describe('a database from a backup, and an RPC that', () => {
  it('answers with no history at all: payouts wait, and say back to where it must be shown', async () => {
    await paidBefore()
    const old = await world.backup()
    await settleAndFinish(world.engine())
    await world.restore(old)
    expect(await marks()).toHaveLength(1)
    const engine = engineWith(async () => [])
    await settleAndFinish(engine)
    await expectPaidOnce()
    const mark = (await marks())[0]!.value
    expect(engine.standing().trouble).toMatch(
      new RegExp(`^payouts wait: the RPC does not show the treasury's history back to ${mark}`),
    )
    // One that keeps it, and life goes on.
    await settleAndFinish(world.engine())
    await settleAndFinish(world.engine())
    await expectPaidOnce()
    expect((await world.ledger()).map(({ paid, owed }) => owed - paid)).toEqual([0n, 0n])
  })

  it('keeps only what is newest does not show the mark either', async () => {
    await paidBefore()
    const old = await world.backup()
    await settleAndFinish(world.engine())
    const [newest] = await world.chain().history(world.treasury.address, { minSlot: 0 })
    await world.restore(old)
    await world.credit('owner1', 5n)
    const engine = engineWith(cut(({ signature }) => signature === newest?.signature))
    await settleAndFinish(engine)
    expect(engine.standing().trouble).toMatch(/history back to/)
  })

  it('shows nothing of a payout that is final here, when nothing was ever compared', async () => {
    await paidBefore()
    await world.store.db.deleteFrom('meta').where('key', 'like', 'payouts.compared%').execute()
    const old = await world.backup()
    const paid = await world.store.db.selectFrom('payout_attempts').select('signature').executeTakeFirstOrThrow()
    await settleAndFinish(world.engine())
    await world.restore(old)
    const engine = engineWith(async () => [])
    await settleAndFinish(engine)
    await expectPaidOnce()
    expect(engine.standing().trouble).toContain(`history back to ${paid.signature}`)
    await settleAndFinish(world.engine())
    await settleAndFinish(world.engine())
    expect((await world.ledger()).map(({ paid, owed }) => owed - paid)).toEqual([0n, 0n])
    await expectPaidOnce()
  })
})

it('a treasury that is new to the database need not show what another one paid', async () => {
  await paidBefore()
  const treasury = await lab.makeTreasury(token)
  lab.clock.advance(20_000)
  const chain = lab.client(async (_method, _body, forward) => forward(), treasury).payer(token)
  const engine = createPayouts({
    db: world.store.db,
    chain,
    holder: 'console-1',
    now: lab.clock.now,
    log: silent,
    moved: () => undefined,
    settings: SETTINGS,
  })
  await settleAndFinish(engine)
  expect(engine.standing().trouble).toBeUndefined()
  await expectPaidOnce()
  // Each has a mark of its own: back at the first one, nothing older need be shown again.
  expect((await marks()).map(({ key }) => key).toSorted()).toEqual(
    [treasury.address, world.treasury.address].map((address) => `payouts.compared.${address}`).toSorted(),
  )
})

it('the mark moves on with each tidying, so that it is as young as the backup it lies in', async () => {
  await paidBefore()
  const engine = world.engine()
  await settleAndFinish(engine)
  const [before] = await marks()
  await world.credit('owner1', 5n)
  await settleAndFinish(engine)
  expect(await marks()).toEqual([before])
  await engine.tidy()
  const [newest] = await world.chain().history(world.treasury.address, { minSlot: 0 })
  expect(await marks()).toMatchObject([{ value: newest?.signature }])
  // Nothing was in doubt meanwhile.
  expect((await engine.settleNow()).waits).toBeUndefined()
})
