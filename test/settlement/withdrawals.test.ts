// Deposits and withdrawals that a database from a backup has forgotten: nobody withdraws the same money again.
import { Keypair } from '@solana/web3.js'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { checkLedger } from '../../console/rewards/check.ts'
import { balanceOf } from '../../console/rewards/ledger.ts'
import { collectAndReconcile } from '../../console/settlement/collect.ts'
import type { DepositChain } from '../../console/settlement/deposits/deposit-chain.ts'
import { createDeposits, type Deposits } from '../../console/settlement/deposits.ts'
import { createPayouts, type Payouts } from '../../console/settlement/payouts.ts'
import { withdrawalName } from '../../console/settlement/plan-withdrawal.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { withdrawOnce } from '../../console/settlement/withdrawals.ts'
import { drive } from './driving.ts'
import { createLab, type Lab, silent } from './lab.ts'
import { createWorld, SETTINGS, type World } from './payout-world.ts'
import { createWallet, type Wallet } from './wallet.ts'

let lab: Lab
let token: Token
let payer: Wallet
let world: World
let wallet: string
beforeAll(async () => {
  lab = await createLab()
  token = await lab.makeToken()
  payer = await createWallet(lab, token, 1_000_000n)
})
afterAll(() => lab.close())
/** A requester with a wallet to withdraw to. */
beforeEach(async () => {
  world = await createWorld({ lab, token, amounts: [] })
  wallet = Keypair.generate().publicKey.toBase58()
  const gate = { id: 'gate', name: 'Gate', key_hash: 'h', owner_id: null, created_at: 0 }
  await world.store.db.insertInto('requesters').values(gate).execute()
  const row = { payee: 'requester/gate', address: wallet, since: 0, proof: 'operator' }
  await world.store.db.insertInto('wallets').values(row).execute()
})
afterEach(() => world.close())

const desk = (over: Partial<DepositChain> = {}): Deposits =>
  createDeposits({
    db: world.store.db,
    chain: { ...lab.client(async (_method, _body, forward) => forward(), world.treasury).deposits(token), ...over },
    mint: token.mint,
    minimumUnits: 1n,
    now: lab.clock.now,
    everyMs: 1,
    credited: () => undefined,
    log: silent,
  })
const engineOf = (deposits: Deposits): Payouts =>
  createPayouts({
    db: world.store.db,
    chain: world.chain(),
    holder: 'console-1',
    now: lab.clock.now,
    log: silent,
    moved: () => undefined,
    settings: SETTINGS,
    readDeposits: deposits.readAll,
  })
const payIn = async (units: bigint): Promise<void> => {
  const deposits = desk()
  await payer.pay((await deposits.addressOf('gate')).wallet, units)
  lab.clock.advance(30_000)
  await deposits.turn()
}
const withdraw = async (engine: Payouts, requestId: string, units = 1_000n) => {
  const wanted = { requester: 'gate', requestId, units, wallet, hasAccount: await engine.hasAccount(wallet) }
  return world.store.db.transaction().execute((trx) => withdrawOnce(trx, wanted, engine.planWithdrawal, 1))
}
const budget = () => balanceOf(world.store.db, accounts.budget('gate'))
const expectSound = async (): Promise<void> => {
  expect((await checkLedger(world.store.db)).checks.filter(({ ok }) => !ok)).toEqual([])
  expect((await collectAndReconcile(world.store.db, world.chain())).differences).toEqual([])
}

/** Paid in and withdrawn since a backup, which is the database from now on. */
async function forgotten(): Promise<{ deposits: Deposits; engine: Payouts }> {
  const old = await world.backup()
  await payIn(1_000n)
  const engine = engineOf(desk())
  await drive(lab, engine, 2)
  await withdraw(engine, 'w1')
  await drive(lab, engine, 16)
  expect(await world.held(wallet)).toBe(1_000n)
  await world.restore(old)
  const deposits = desk()
  return { deposits, engine: engineOf(deposits) }
}

describe('a database from a backup', () => {
  it('of before a deposit takes what was withdrawn from it, and knows the withdrawal by its name', async () => {
    await desk().addressOf('gate')
    const { deposits, engine } = await forgotten()
    await drive(lab, engine, 5)
    await deposits.turn()
    expect(await budget()).toBe(0n)
    const batch = withdrawalName({ requester: 'gate', requestId: 'w1' })
    expect(await withdraw(engine, 'w1')).toEqual({ batch, state: 'finalized' })
    expect(await withdraw(engine, 'w1', 999n)).toEqual({ takenFor: 1_000n })
    await expect(withdraw(engine, 'w2')).rejects.toMatchObject({ code: 'insufficient' })
    await drive(lab, engine, 16)
    expect(await world.held(wallet)).toBe(1_000n)
    expect(engine.standing()).toEqual({ open: 0, trouble: undefined })
    await expectSound()
  })

  it('of before the deposit address was told reads it all the same', async () => {
    const { deposits, engine } = await forgotten()
    await drive(lab, engine, 5)
    await deposits.addressOf('gate')
    await deposits.turn()
    expect([await budget(), engine.standing().notice]).toEqual([0n, undefined])
    await expect(withdraw(engine, 'w2')).rejects.toMatchObject({ code: 'insufficient' })
    await expectSound()
  })

  it('takes nothing in while a deposit is listed and not told', async () => {
    await desk().addressOf('gate')
    await forgotten()
    const engine = engineOf(desk({ change: async () => undefined }))
    await drive(lab, engine, 5)
    expect(engine.standing().trouble).toBe(
      'payouts wait: the chain has 1 payout(s) that this database does not know; they are taken in when the RPC has told every deposit that it lists',
    )
    expect(await world.store.db.selectFrom('payouts').selectAll().execute()).toEqual([])
    const again = engineOf(desk())
    await drive(lab, again, 5)
    expect([await budget(), again.standing().trouble]).toEqual([0n, undefined])
    await expectSound()
  })

  it('that is asked for the withdrawal again before it is compared pays it once, and tells what became of it', async () => {
    await desk().addressOf('gate')
    const { deposits, engine } = await forgotten()
    await deposits.turn()
    expect(await withdraw(engine, 'w1')).toMatchObject({ state: 'planned' })
    await drive(lab, engine, 20)
    expect(await world.held(wallet)).toBe(1_000n)
    expect(await budget()).toBe(0n)
    expect(await withdraw(engine, 'w1')).toMatchObject({ state: 'finalized' })
    await expectSound()
  })
})
