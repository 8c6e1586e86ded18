// What batches cost, and whom: fees, the rent of accounts and of markers.
import { describe, expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { openEpoch } from '../../console/rewards/epochs.ts'
import { balanceOf } from '../../console/rewards/ledger.ts'
import { collectAndReconcile } from '../../console/settlement/collect.ts'
import { planPayouts } from '../../console/settlement/plan.ts'
import { SETTINGS } from './payout-world.ts'
import { openStage } from './stage.ts'

const stage = openStage()

const { drive, batches, payouts: lines, expectPaidOnce } = stage

describe('a separate fee payer', () => {
  it('pays fees and rents, and the treasury no lamport', async () => {
    const feePayer = await stage.lab.makeTreasury(stage.token)
    await stage.openFor(2, { feePayer })
    const before = [
      await stage.lab.solana.lamports(stage.world.treasury.address),
      await stage.lab.solana.lamports(feePayer.address),
    ]
    const engine = stage.world.engine()
    await engine.settleNow()
    await drive(engine, 15)
    await expectPaidOnce()
    const after = [
      await stage.lab.solana.lamports(stage.world.treasury.address),
      await stage.lab.solana.lamports(feePayer.address),
    ]
    expect(before[0]! - after[0]!).toBe(0n)
    expect(before[1]! - after[1]!).toBe(2n * 5_000n + 890_880n + 2n * 2_039_280n)
  })
})

describe('a fee for a new token account', () => {
  it('is withheld once, and not where there is an account', async () => {
    await stage.openFor(1, { settings: { accountFeeUnits: 100n } })
    const { wallet } = stage.world.owners[0]!
    const engine = stage.world.engine()
    await engine.settleNow()
    expect((await lines())[0]).toMatchObject({ amount_units: 900n })
    await drive(engine, 15)
    expect(await stage.world.held(wallet)).toBe(900n)
    await stage.world.credit('owner1', 50n)
    await engine.settleNow()
    await drive(engine, 15)
    expect(await stage.world.held(wallet)).toBe(950n)
    expect(await balanceOf(stage.world.store.db, accounts.operatorFees)).toBe(100n)
  })

  it('goes back when the batch comes to nothing', async () => {
    await stage.openFor(1, { settings: { accountFeeUnits: 100n } })
    const engine = stage.world.engine()
    const { wallet } = stage.world.owners[0]!
    await openEpoch(stage.world.store.db, 0)
    const planned = await stage.world.store.db.transaction().execute((trx) =>
      planPayouts(trx, {
        ...SETTINGS,
        accountFeeUnits: 100n,
        epoch: 1,
        now: 0,
        chain: stage.world.chain(),
        withAccount: new Set(),
        treasuryUnits: 0n,
        through: [],
      }),
    )
    expect(planned.planned).toEqual(['e1-1'])
    expect(await balanceOf(stage.world.store.db, accounts.operatorFees)).toBe(100n)
    // Frozen between planning and signing: the rehearsal finds out.
    stage.lab.freeze(stage.token, wallet, true)
    await drive(engine, 1)
    expect(await batches()).toMatchObject([{ state: 'failed' }])
    expect(await balanceOf(stage.world.store.db, accounts.operatorFees)).toBe(0n)
    expect(await stage.world.ledger()).toMatchObject([{ payable: 1_000n, inPayout: 0n }])
    stage.lab.freeze(stage.token, wallet, false)
    await engine.settleNow()
    await drive(engine, 15)
    await expectPaidOnce()
  })

  it('that leaves less than the minimum leaves the money where it is, and says so', async () => {
    await stage.openFor(1, { settings: { accountFeeUnits: 1_000n } })
    const { held } = await stage.world.engine().settleNow()
    const why = 'below the minimum payout: 1000 of 1 base units and 1000 for a new token account'
    expect(held).toMatchObject([{ payee: 'owner1', held: why }])
    expect(await batches()).toEqual([])
  })
})

describe('the rent of markers', () => {
  it('comes back long after the batch is final, several in one transaction, and not before', async () => {
    await stage.openFor(1, { settings: { keepMarkersMs: 86_400_000 } })
    const engine = stage.world.engine()
    for (let n = 0; n < 3; n++) {
      if (n > 0) await stage.world.credit('owner1', 1n)
      await engine.settleNow()
      await drive(engine, 15)
    }
    const there = async () =>
      (await batches()).filter(({ marker }) => stage.lab.chain.account(marker ?? '') !== undefined).length
    await engine.tidy()
    expect(await there()).toBe(3)
    stage.lab.clock.advance(86_400_000)
    await engine.turn()
    const before = await stage.lab.solana.lamports(stage.world.treasury.address)
    await engine.tidy()
    expect(await there()).toBe(0)
    expect((await stage.lab.solana.lamports(stage.world.treasury.address)) - before).toBe(3n * 890_880n - 5_000n)
    expect((await batches()).map(({ reclaimed_at }) => reclaimed_at)).toEqual([null, null, null])
    stage.lab.clock.advance(1_000)
    await engine.tidy()
    expect((await batches()).every(({ reclaimed_at }) => reclaimed_at !== null)).toBe(true)
    expect(await collectAndReconcile(stage.world.store.db, stage.world.chain())).toMatchObject({
      ok: true,
      chain: { payouts: 3 },
    })
  })
})
