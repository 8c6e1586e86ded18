// A database from a backup that does not know whom the chain paid: nobody is paid again before the operator says who it was.
import { Keypair } from '@solana/web3.js'
import { describe, expect, it } from 'vitest'
import { checkLedger } from '../../console/rewards/check.ts'
import { writtenOffPayee } from '../../console/rewards/payees.ts'
import { attribute, lostShares } from '../../console/settlement/lost.ts'
import { openStage } from './stage.ts'

const stage = openStage()

const newWallet = () => Keypair.generate().publicKey.toBase58()
const { settleAndFinish: finish } = stage
const wallets = () => stage.world.store.db.selectFrom('wallets').selectAll().execute()
const attributed = (address: string, payee: string) =>
  stage.world.store.db.transaction().execute((trx) => attribute(trx, { address, payee, now: stage.lab.clock.now() }))
const balances = async (): Promise<Record<string, bigint>> =>
  Object.fromEntries(
    (await stage.world.store.db.selectFrom('accounts').selectAll().where('balance_units', '!=', 0n).execute()).map(
      (row) => [row.id, row.balance_units],
    ),
  )
const expectSound = async (): Promise<void> => {
  expect((await checkLedger(stage.world.store.db)).checks.filter(({ ok }) => !ok)).toEqual([])
  expect(await stage.differences()).toEqual([])
}

/** Paid to this wallet, which nobody has in the database that came back. */
async function paidToUnknown(amount: bigint, wallet = newWallet()): Promise<string> {
  await stage.open({ amounts: [amount] })
  const old = await stage.world.backup()
  await stage.world.store.db.updateTable('wallets').set({ address: wallet }).execute()
  await finish(stage.world.engine())
  expect(await stage.world.held(wallet)).toBe(amount)
  await stage.world.restore(old)
  return wallet
}

describe('a database from a backup', () => {
  it('of before a wallet was changed pays its owner once', async () => {
    const wallet = await paidToUnknown(1_000n)
    const engine = stage.world.engine()
    await finish(engine)
    await finish(engine)
    const before = stage.world.owners[0]!.wallet
    expect([await stage.world.held(before), await stage.world.held(wallet)]).toEqual([0n, 1_000n])
    expect(engine.standing().trouble).toBe(
      `payouts wait: the chain paid 1000 base units to ${wallet}, and this database does not know whose it is; ` +
        `say so: bramble rewards attribute ${wallet} OWNER, or --write-off`,
    )
    expect(await attributed(wallet, 'owner1')).toEqual({ address: wallet, owed: 1_000n, beyond: 0n })
    await finish(engine)
    expect([await stage.world.held(before), await stage.world.held(wallet)]).toEqual([0n, 1_000n])
    expect(engine.standing()).toEqual({ open: 0, trouble: undefined })
    expect(await balances()).toEqual({ outside: -1_000n, 'paid:owner1': 1_000n })
    await expectSound()
    // Life goes on, to the wallet that the database knows.
    await stage.world.credit('owner1', 7n)
    await finish(engine)
    expect(await stage.world.held(before)).toBe(7n)
    await expectSound()
  })

  it('of before a wallet was registered pays its owner once', async () => {
    await stage.open({ amounts: [1_000n] })
    const wallet = stage.world.owners[0]!.wallet
    const registered = await wallets()
    await stage.world.store.db.deleteFrom('wallets').execute()
    const old = await stage.world.backup()
    await stage.world.store.db.insertInto('wallets').values(registered).execute()
    await finish(stage.world.engine())
    await stage.world.restore(old)
    const engine = stage.world.engine()
    await finish(engine)
    // Registered anew, it is owed the money still.
    await stage.world.store.db.insertInto('wallets').values(registered).execute()
    await finish(engine)
    expect(await stage.world.held(wallet)).toBe(1_000n)
    await attributed(wallet, 'owner1')
    await finish(engine)
    expect(await stage.world.held(wallet)).toBe(1_000n)
    await expectSound()
  })

  it('may take what it cannot name as a loss, and goes on', async () => {
    const wallet = await paidToUnknown(1_000n)
    const engine = stage.world.engine()
    await finish(engine)
    expect(await attributed(wallet, writtenOffPayee(wallet))).toEqual({ address: wallet, owed: 0n, beyond: 1_000n })
    await finish(engine)
    const { wallet: known } = stage.world.owners[0]!
    expect([await stage.world.held(known), await stage.world.held(wallet)]).toEqual([1_000n, 1_000n])
    expect(await balances()).toMatchObject({ outside: -2_000n, [`paid:written-off/${wallet}`]: 1_000n })
    expect(engine.standing()).toEqual({ open: 0, trouble: undefined })
    await expectSound()
  })

  it('books what exceeds what its owner is owed as found on the chain, and says so for a week', async () => {
    const wallet = await paidToUnknown(1_000n)
    const engine = stage.world.engine()
    await finish(engine)
    await stage.world.store.db
      .updateTable('accounts')
      .set({ balance_units: 400n })
      .where('id', '=', 'payable:owner1')
      .execute()
    expect(await attributed(wallet, 'owner1')).toEqual({ address: wallet, owed: 400n, beyond: 600n })
    await finish(engine)
    expect(engine.standing()).toMatchObject({
      trouble: undefined,
      notice: expect.stringMatching(/^this database came from a backup: the chain had paid 600 base units to owner1 /),
    })
    stage.lab.clock.advance(8 * 86_400_000)
    const later = stage.world.engine()
    await stage.drive(later, 2)
    expect(later.standing()).toEqual({ open: 0, trouble: undefined })
  })

  it('lets nothing be attributed while money of the same owner may be on its way', async () => {
    const wallet = await paidToUnknown(1_000n)
    const engine = stage.world.engine()
    await finish(engine)
    const { db } = stage.world.store
    await db.insertInto('accounts').values({ id: 'in-payout:owner1', kind: 'in-payout', balance_units: 1n }).execute()
    expect(await attributed(wallet, 'owner1')).toEqual({ refused: 'under-way' })
    expect(await attributed(newWallet(), 'owner1')).toEqual({ refused: 'nothing-lost' })
    expect(await lostShares(db)).toEqual([{ wallet, units: 1_000n }])
  })
})
