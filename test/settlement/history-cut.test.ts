// An RPC that keeps only part of the treasury's history, or none: its silence is no proof that nothing was paid.
import { describe, expect, it } from 'vitest'
import type { HistoryEntry, PayoutChain } from '../../console/settlement/payer.ts'
import { createPayouts, type Payouts } from '../../console/settlement/payouts.ts'
import { silent } from './lab.ts'
import { SETTINGS } from './payout-world.ts'
import { openStage } from './stage.ts'

const stage = openStage()

const { settleAndFinish } = stage
/** Two owners paid once, and owed again; what came to the treasury before is final. */
const paidBefore = async (): Promise<void> => {
  await stage.open({ amounts: [7n, 7n] })
  stage.lab.clock.advance(20_000)
  await settleAndFinish(stage.world.engine())
  for (const { id } of stage.world.owners) await stage.world.credit(id, 1_000n)
}
/** Its history as the RPC tells it; and it cuts batches otherwise than the console that was lost. */
const engineWith = (history: PayoutChain['history']): Payouts => {
  const real = stage.world.chain()
  const sizeOf: PayoutChain['sizeOf'] = (...asked) => real.sizeOf(...asked) + (asked[0].lines.length > 1 ? 2_000 : 0)
  return stage.engineWith({ history, sizeOf })
}
const marks = () =>
  stage.world.store.db.selectFrom('meta').selectAll().where('key', 'like', 'payouts.compared%').execute()
const expectPaidOnce = async (): Promise<void> => {
  for (const { wallet, owed } of await stage.world.ledger()) expect(await stage.world.held(wallet)).toBe(owed)
}
/** Of the treasury alone: the accounts of markers are asked about as ever. */
const cut = (keeps: (entry: HistoryEntry) => boolean): PayoutChain['history'] => {
  const real = stage.world.chain()
  return async (address, options) => {
    const page = await real.history(address, options)
    return address === stage.world.treasury.address ? page.filter(keeps) : page
  }
}

describe('a database from a backup, and an RPC that', () => {
  it('answers with no history at all: payouts wait, and say back to where it must be shown', async () => {
    await paidBefore()
    const old = await stage.world.backup()
    await settleAndFinish(stage.world.engine())
    await stage.world.restore(old)
    expect(await marks()).toHaveLength(1)
    const engine = engineWith(async () => [])
    await settleAndFinish(engine)
    await expectPaidOnce()
    const mark = (await marks())[0]!.value
    expect(engine.standing().trouble).toMatch(
      new RegExp(`^payouts wait: the RPC does not show the treasury's history back to ${mark}`),
    )
    // One that keeps it, and life goes on.
    await settleAndFinish(stage.world.engine())
    await settleAndFinish(stage.world.engine())
    await expectPaidOnce()
    expect((await stage.world.ledger()).map(({ paid, owed }) => owed - paid)).toEqual([0n, 0n])
  })

  it('keeps only what is newest does not show the mark either', async () => {
    await paidBefore()
    const old = await stage.world.backup()
    await settleAndFinish(stage.world.engine())
    const [newest] = await stage.world.chain().history(stage.world.treasury.address, { minSlot: 0 })
    await stage.world.restore(old)
    await stage.world.credit('owner1', 5n)
    const engine = engineWith(cut(({ signature }) => signature === newest?.signature))
    await settleAndFinish(engine)
    expect(engine.standing().trouble).toMatch(/history back to/)
  })

  it('shows nothing of a payout that is final here, when nothing was ever compared', async () => {
    await paidBefore()
    await stage.world.store.db.deleteFrom('meta').where('key', 'like', 'payouts.compared%').execute()
    const old = await stage.world.backup()
    const paid = await stage.world.store.db.selectFrom('payout_attempts').select('signature').executeTakeFirstOrThrow()
    await settleAndFinish(stage.world.engine())
    await stage.world.restore(old)
    const engine = engineWith(async () => [])
    await settleAndFinish(engine)
    await expectPaidOnce()
    expect(engine.standing().trouble).toContain(`history back to ${paid.signature}`)
    await settleAndFinish(stage.world.engine())
    await settleAndFinish(stage.world.engine())
    expect((await stage.world.ledger()).map(({ paid, owed }) => owed - paid)).toEqual([0n, 0n])
    await expectPaidOnce()
  })
})

it('a treasury that is new to the database need not show what another one paid', async () => {
  await paidBefore()
  const treasury = await stage.lab.makeTreasury(stage.token)
  stage.lab.clock.advance(20_000)
  const chain = stage.lab.client(async (_method, _body, forward) => forward(), treasury).payer(stage.token)
  const engine = createPayouts({
    db: stage.world.store.db,
    chain,
    holder: 'console-1',
    now: stage.lab.clock.now,
    log: silent,
    moved: () => undefined,
    settings: SETTINGS,
  })
  await settleAndFinish(engine)
  expect(engine.standing().trouble).toBeUndefined()
  await expectPaidOnce()
  // Each has a mark of its own: back at the first one, nothing older need be shown again.
  expect((await marks()).map(({ key }) => key).toSorted()).toEqual(
    [treasury.address, stage.world.treasury.address].map((address) => `payouts.compared.${address}`).toSorted(),
  )
})

it('the mark moves on with each tidying, so that it is as young as the backup it lies in', async () => {
  await paidBefore()
  const engine = stage.world.engine()
  await settleAndFinish(engine)
  const [before] = await marks()
  await stage.world.credit('owner1', 5n)
  await settleAndFinish(engine)
  expect(await marks()).toEqual([before])
  await engine.tidy()
  const [newest] = await stage.world.chain().history(stage.world.treasury.address, { minSlot: 0 })
  expect(await marks()).toMatchObject([{ value: newest?.signature }])
  // Nothing was in doubt meanwhile.
  expect((await engine.settleNow()).waits).toBeUndefined()
})
