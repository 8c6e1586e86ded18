// Reconciliation over a real chain: deposits both ways, outflows that the treasury did not sign, and what an RPC does not tell.
import { Keypair } from '@solana/web3.js'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { reconcileAll } from '../../console/settlement/collect.ts'
import type { DepositChain } from '../../console/settlement/deposits/deposit-chain.ts'
import { createDeposits } from '../../console/settlement/deposits.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { associatedAddress, instructionOf } from '../../console/settlement/solana-connection.ts'
import * as spl from '../../console/settlement/spl.ts'
import { createLab, type Lab, silent } from './lab.ts'
import { createWorld, type World } from './payout-world.ts'
import { approveChecked, createWallet, type Wallet } from './wallet.ts'

const FINAL_MS = 40 * 400

let lab: Lab
let token: Token
let sender: Wallet
let world: World
let chain: DepositChain
let signatures: string[]
beforeAll(async () => {
  lab = await createLab()
  token = await lab.makeToken()
  sender = await createWallet(lab, token, 1_000_000_000n)
})
afterAll(() => lab.close())

/** Three deposits of ann, all but the last swept; one owner paid. */
beforeEach(async () => {
  world = await createWorld({ lab, token, amounts: [1_000n] })
  const { db } = world.store
  await db
    .insertInto('requesters')
    .values({ id: 'ann', name: 'Ann', key_hash: 'h', owner_id: null, created_at: 0 })
    .execute()
  chain = lab.client(async (_method, _body, forward) => forward(), world.treasury).deposits(token)
  const deposits = createDeposits({
    db,
    chain,
    mint: token.mint,
    minimumUnits: 100n,
    now: lab.clock.now,
    everyMs: 1,
    credited: () => undefined,
    log: silent,
  })
  const { wallet } = await deposits.addressOf('ann')
  for (const units of [2_000n, 3_000n]) {
    await sender.pay(wallet, units)
    lab.clock.advance(FINAL_MS)
    await deposits.turn()
  }
  await sender.pay(wallet, 70n)
  lab.clock.advance(FINAL_MS)
  await deposits.turn()
  signatures = (await db.selectFrom('deposits').select('signature').orderBy('slot').execute()).map(
    (row) => row.signature,
  )
  const engine = world.engine()
  await engine.settleNow()
  for (let turn = 0; turn < 16; turn++) {
    lab.clock.advance(1_000)
    await engine.turn()
  }
})
afterEach(() => world.close())

const reconciled = (over: Partial<DepositChain> = {}) =>
  reconcileAll(world.store.db, world.chain(), { ...chain, ...over })
const kinds = async (over: Partial<DepositChain> = {}) =>
  (await reconciled(over)).differences.map(({ kind, signature }) => [kind, signature])

it('agrees on deposits, swept or not, dust or not', async () => {
  expect(await reconciled()).toMatchObject({
    ok: true,
    chain: { payouts: 1, units: 1_000n },
    deposits: { chain: { count: 3, units: 5_070n }, ledger: { count: 3, units: 5_070n }, waiting: 0 },
  })
})

it('does not compare what was not read yet', async () => {
  const { account } = chain.addressOf('ann')
  await sender.pay(chain.addressOf('ann').wallet, 9_000n)
  lab.clock.advance(FINAL_MS)
  expect((await chain.arrivals(account, {})).length).toBeGreaterThan(3)
  expect(await reconciled()).toMatchObject({ ok: true, deposits: { waiting: 1, chain: { count: 3 } } })
})

it('finds a deposit that was never noted, one noted otherwise, and one that never was', async () => {
  const { db } = world.store
  const [first = '', second = ''] = signatures
  await db.deleteFrom('deposits').where('signature', '=', first).execute()
  await db.updateTable('deposits').set({ amount_units: 3_001n }).where('signature', '=', second).execute()
  const { account } = chain.addressOf('ann')
  const row = { signature: 'never', account, requester_id: 'ann', mint: token.mint, amount_units: 5n }
  await db
    .insertInto('deposits')
    .values({ ...row, slot: 1, at: 1, state: 'credited', seen_at: 1 })
    .execute()
  const found = await reconciled()
  expect(found.ok).toBe(false)
  expect(found.differences).toEqual([
    {
      kind: 'deposit-missing',
      signature: first,
      detail: 'a transaction brought 2000 base units to the deposit account of ann, and no deposit says so',
    },
    { kind: 'deposit-differs', signature: second, detail: expect.stringMatching(/3000 .* says 3001$/) },
    {
      kind: 'deposit-only-here',
      signature: 'never',
      detail: expect.stringMatching(/^a deposit of 5 base units of ann/),
    },
  ])
})

it('does not agree on what the RPC lists and does not tell, deposits and outflows alike', async () => {
  const [first = ''] = signatures
  const change = async (...of: Parameters<DepositChain['change']>) =>
    of[0] === first ? undefined : chain.change(...of)
  expect(await kinds({ change })).toEqual([['unreadable', first]])
  expect(await kinds({ arrivals: async () => [] })).toEqual([['unreadable', signatures.at(-1)]])
  const { db } = world.store
  const { signature } = await db.selectFrom('payout_attempts').select('signature').executeTakeFirstOrThrow()
  const real = world.chain()
  const silentOf = { ...real, transfer: async (of: string) => (of === signature ? undefined : real.transfer(of)) }
  expect((await reconcileAll(db, silentOf, chain)).differences).toMatchObject([{ kind: 'unreadable', signature }])
})

it('finds tokens that left the treasury by the hand of a delegate, whoever paid the fee', async () => {
  const [treasury, thief] = [Keypair.fromSecretKey(world.treasury.secretKey), Keypair.generate()]
  const delegate = thief.publicKey.toBase58()
  await lab.solana.airdrop(delegate, 100_000_000)
  const [from, to] = [world.treasury.address, sender.address].map((wallet) => associatedAddress(token.mint, wallet))
  const allow = approveChecked(from ?? '', token.mint, delegate, world.treasury.address, 40n, token.decimals)
  lab.submit([allow], [treasury])
  const take = { from: from ?? '', mint: token.mint, to: to ?? '', authority: delegate, units: 40n, decimals: 6 }
  const signature = lab.submit([instructionOf(spl.transferChecked(take))], [thief])
  lab.clock.advance(FINAL_MS)
  expect((await reconciled()).differences).toMatchObject([
    { kind: 'unknown', signature, detail: `40 base units left the treasury for no payout: 40 to ${sender.address}` },
  ])
})
