// Deposits behind an RPC that caps its pages below the 1,000 of the protocol, as providers do.
import { expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf } from '../../console/rewards/ledger.ts'
import { createDeposits } from '../../console/settlement/deposits.ts'
import { openDatabase } from '../../console/store/open.ts'
import { createLab, silent } from './lab.ts'
import { createWallet } from './wallet.ts'

const CAP = 100
const COUNT = 230
const FINAL_MS = 40 * 400

it('are all credited when the RPC tells no more than 100 transactions at once', async () => {
  const lab = await createLab()
  const token = await lab.makeToken()
  const capped = lab.client(async (method, _body, forward) => {
    if (method !== 'getSignaturesForAddress') return forward()
    const answer = JSON.parse(forward()) as { result: unknown[] }
    return JSON.stringify({ ...answer, result: answer.result.slice(0, CAP) })
  })
  const { db, close } = await openDatabase(':memory:')
  await db
    .insertInto('requesters')
    .values({ id: 'ann', name: 'Ann', key_hash: 'h', owner_id: null, created_at: 0 })
    .execute()
  const deposits = createDeposits({
    db,
    chain: capped.deposits(token),
    mint: token.mint,
    minimumUnits: 1n,
    now: lab.clock.now,
    everyMs: 1,
    credited: () => undefined,
    log: silent,
  })
  const { wallet } = await deposits.addressOf('ann')
  const sender = await createWallet(lab, token, 1_000_000n)
  for (let paid = 0; paid < COUNT; paid++) await sender.pay(wallet, 10n)
  lab.clock.advance(FINAL_MS)
  await deposits.turn()
  expect(await balanceOf(db, accounts.budget('ann'))).toBe(BigInt(COUNT) * 10n)
  await close()
  lab.close()
})
