// The rent of token accounts, on a real chain: lent once to each payee, not time after time; and the operator's own fees, which
// leave by the same door, last.
import { Keypair, PublicKey, TransactionInstruction } from '@solana/web3.js'
import { expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf, post } from '../../console/rewards/ledger.ts'
import { OPERATOR_FEES } from '../../console/rewards/payees.ts'
import type { PayoutSettings, Payouts } from '../../console/settlement/payouts.ts'
import { associatedAddress, instructionOf } from '../../console/settlement/solana-connection.ts'
import * as spl from '../../console/settlement/spl.ts'
import { openStage } from './stage.ts'

const stage = openStage()
let owner: Keypair

/** One owner, whose key is known. */
async function begin(): Promise<void> {
  await stage.open({ amounts: [1_000n] })
  owner = Keypair.generate()
  await stage.lab.solana.airdrop(owner.publicKey.toBase58(), 100_000_000)
  await name('owner1', owner)
}
const name = (payee: string, { publicKey }: Keypair) =>
  stage.world.store.db
    .insertInto('wallets')
    .values({ payee, address: publicKey.toBase58(), since: 0, proof: 'operator' })
    .onConflict((conflict) => conflict.column('payee').doUpdateSet({ address: publicKey.toBase58() }))
    .execute()
const give = (to: ReturnType<typeof accounts.budget>, amount: bigint) =>
  stage.world.store.db
    .transaction()
    .execute((trx) => post(trx, [{ kind: 'grant', ref: to, from: accounts.outside, to, amount, at: 0 }]))

const engineOf = (settings: Partial<PayoutSettings> = {}) => stage.world.engine(undefined, 'console-1', settings)
async function settle(engine: Payouts) {
  const settled = await engine.settleNow()
  for (let turn = 0; turn < 16; turn++) {
    stage.lab.clock.advance(1_000)
    await engine.turn()
  }
  return settled
}
const heldBy = ({ publicKey }: Keypair) => stage.world.held(publicKey.toBase58())

/** Sends the tokens away and closes the account: its rent is the owner's. */
function closeAccount(key: Keypair, units: bigint): void {
  const own = key.publicKey.toBase58()
  const [from, to] = [own, stage.lab.treasury.address].map((wallet) => associatedAddress(stage.token.mint, wallet))
  const [account, elsewhere] = [from ?? '', to ?? '']
  const send = {
    from: account,
    mint: stage.token.mint,
    to: elsewhere,
    authority: own,
    units,
    decimals: stage.token.decimals,
  }
  const close = new TransactionInstruction({
    programId: new PublicKey(spl.TOKEN_PROGRAM),
    keys: [
      { pubkey: new PublicKey(account), isSigner: false, isWritable: true },
      { pubkey: key.publicKey, isSigner: false, isWritable: true },
      { pubkey: key.publicKey, isSigner: true, isWritable: false },
    ],
    // CloseAccount.
    data: Buffer.of(9),
  })
  stage.lab.submit([instructionOf(spl.transferChecked(send)), close], [key])
}
function openAccount(key: Keypair): void {
  const wallet = key.publicKey.toBase58()
  const account = associatedAddress(stage.token.mint, wallet)
  const make = { payer: wallet, account, owner: wallet, mint: stage.token.mint }
  stage.lab.submit([instructionOf(spl.createAssociatedIdempotent(make))], [key])
}
const rents = async () =>
  (await stage.world.store.db.selectFrom('payouts').select('rent_lamports').execute()).map(
    ({ rent_lamports: rent }) => rent,
  )

it('is not lent again to an owner who closes the account, and the owner is told what to do', async () => {
  await begin()
  const engine = engineOf()
  await settle(engine)
  expect(await heldBy(owner)).toBe(1_000n)
  closeAccount(owner, 1_000n)
  await stage.world.credit('owner1', 500n)
  const why = /has no account of the token, and the rent of one was paid for owner1 before: open it in that wallet/
  expect(await settle(engine)).toMatchObject({
    payouts: 0,
    held: [{ payee: 'owner1', held: expect.stringMatching(why) }],
  })
  expect(await engine.payable()).toMatchObject([{ payee: 'owner1', held: expect.stringMatching(why) }])
  expect(await rents()).toEqual([2_039_280])
  openAccount(owner)
  expect(await settle(engine)).toMatchObject({ payouts: 1, held: [] })
  expect(await heldBy(owner)).toBe(500n)
  expect(await rents()).toEqual([2_039_280, 0])
})

it('is not lent again under another wallet of the same owner', async () => {
  await begin()
  const engine = engineOf()
  await settle(engine)
  await name('owner1', Keypair.generate())
  await stage.world.credit('owner1', 500n)
  expect(await settle(engine)).toMatchObject({ payouts: 0, held: [{ payee: 'owner1' }] })
})

it('is charged again where an account costs a fee', async () => {
  await begin()
  const engine = engineOf({ accountFeeUnits: 100n })
  await settle(engine)
  closeAccount(owner, 900n)
  await stage.world.credit('owner1', 500n)
  expect(await settle(engine)).toMatchObject({ payouts: 1 })
  expect(await heldBy(owner)).toBe(400n)
  expect(await balanceOf(stage.world.store.db, accounts.operatorFees)).toBe(200n)
})

it('is held against a withdrawal as well, which must be worth its costs', async () => {
  await begin()
  await give(accounts.budget('cam'), 5_000n)
  const engine = engineOf({ minimumUnits: 50n })
  const { db } = stage.world.store
  const wallet = owner.publicKey.toBase58()
  let asked = 0
  const withdraw = async (units: bigint, by = engine) => {
    asked += 1
    const wanted = { requester: 'cam', requestId: `r${asked}`, units, wallet, hasAccount: await by.hasAccount(wallet) }
    await db.transaction().execute((trx) => by.planWithdrawal(trx, wanted))
    for (let turn = 0; turn < 16; turn++) {
      stage.lab.clock.advance(1_000)
      await by.turn()
    }
  }
  await expect(withdraw(49n)).rejects.toThrow('49 base units are less than the minimum of 50')
  await withdraw(1_000n)
  closeAccount(owner, 1_000n)
  await expect(withdraw(1_000n)).rejects.toMatchObject({ code: 'no-account' })
  const charging = engineOf({ minimumUnits: 50n, accountFeeUnits: 100n })
  await expect(withdraw(149n, charging)).rejects.toThrow('the minimum of 50 and 100 for a new token account')
  await withdraw(1_000n, charging)
  expect(await heldBy(owner)).toBe(900n)
  expect(await balanceOf(db, accounts.budget('cam'))).toBe(3_000n)
  expect(await balanceOf(db, accounts.operatorFees)).toBe(100n)
})

it('the fees of the operator are paid to the wallet that it registered, when everybody else is covered', async () => {
  await begin()
  const { db } = stage.world.store
  // As much as makeTreasury gives, less what the owner has: nothing is left for the operator.
  await give(accounts.budget('cam'), 10n ** 12n - 1_000n)
  await give(accounts.operatorFees, 70n)
  const engine = engineOf()
  expect((await engine.payable()).find(({ payee }) => payee === OPERATOR_FEES)).toMatchObject({
    units: 70n,
    held: 'no payout wallet is named',
  })
  const operator = Keypair.generate()
  await name(OPERATOR_FEES, operator)
  const why = 'the operator is paid last, and the treasury lacks 70 base units to cover everybody and this'
  expect(await settle(engine)).toMatchObject({ payouts: 1, held: [{ payee: OPERATOR_FEES, held: why }] })
  const payer = stage.lab.solana.payer(stage.token)
  const gift = { id: 'g', memo: 'g', marker: null, lines: [{ wallet: stage.world.treasury.address, units: 70n }] }
  await payer.send(payer.sign(gift, new Set(), await payer.lifetime()).wire)
  expect(await settle(engine)).toMatchObject({ payouts: 1, held: [] })
  expect(await heldBy(operator)).toBe(70n)
  expect(await balanceOf(db, accounts.operatorFees)).toBe(0n)
  expect(await balanceOf(db, accounts.paid(OPERATOR_FEES))).toBe(70n)
})
