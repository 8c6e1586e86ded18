// Transactions newer than those we send. Wallets of today write version 1, and a node shows one only to a reader who says to know
// it: the answers of this chain are dressed up as such, as agave and @solana/web3.js 1.99 have them.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf } from '../../console/rewards/ledger.ts'
import { collectAndReconcile } from '../../console/settlement/collect.ts'
import { createDeposits } from '../../console/settlement/deposits.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { createLab, type Lab, silent, type Wire } from './lab.ts'
import { createWorld, type World } from './payout-world.ts'
import { createWallet, type Wallet } from './wallet.ts'

let lab: Lab
let token: Token
let world: World
let stranger: Wallet
beforeAll(async () => {
  lab = await createLab()
  token = await lab.makeToken()
  world = await createWorld({ lab, token, amounts: [5n] })
  stranger = await createWallet(lab, token, 10_000n)
})
afterAll(async () => {
  await world.close()
  lab.close()
})

const CONFIG = { computeUnitLimit: null, heapSize: null, loadedAccountsDataSizeLimit: null, priorityFee: null }

/** What the stranger signs is version 1. */
const newer: Wire = async (method, body, forward) => {
  const text = forward()
  if (method !== 'getTransaction' || !text.includes(stranger.address)) return text
  const { id, params } = JSON.parse(body)
  const answer = JSON.parse(text)
  if (answer.result?.transaction.message.accountKeys[0] !== stranger.address) return text
  if (!(params[1]?.maxSupportedTransactionVersion >= 1)) {
    const message = 'Transaction version (1) is not supported by the requesting client.'
    return JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32015, message } })
  }
  answer.result.version = 1
  answer.result.transaction.message.transactionConfig = CONFIG
  return JSON.stringify(answer)
}

it('a deposit that comes in one is credited', async () => {
  const row = { id: 'gate', name: 'Gate', key_hash: 'h', owner_id: null, created_at: 0 }
  await world.store.db.insertInto('requesters').values(row).execute()
  const deposits = createDeposits({
    db: world.store.db,
    chain: lab.client(newer, world.treasury).deposits(token),
    mint: token.mint,
    minimumUnits: 1n,
    now: lab.clock.now,
    everyMs: 1,
    credited: () => undefined,
    log: silent,
  })
  const { wallet } = await deposits.addressOf('gate')
  await stranger.pay(wallet, 700n)
  lab.clock.advance(20_000)
  await deposits.turn()
  expect(await balanceOf(world.store.db, accounts.budget('gate'))).toBe(700n)
})

it('one that names the treasury and bears the memo of a payout stops nothing, and can be shown', async () => {
  const signature = await stranger.write('bramble:e1-1', world.treasury.address)
  await stranger.write(`bramble-table:${stranger.address}`, world.treasury.address)
  lab.clock.advance(20_000)
  world.network = { ...world.network, wire: newer }
  const engine = world.engine()
  await engine.settleNow()
  for (let turn = 0; turn < 20; turn++) {
    lab.clock.advance(1_000)
    await engine.turn()
  }
  expect(engine.standing().trouble).toBeUndefined()
  expect(await world.held(world.owners[0]?.wallet ?? '')).toBe(5n)
  expect(await collectAndReconcile(world.store.db, world.chain())).toMatchObject({ ok: true })
  expect(await world.store.db.selectFrom('lookup_tables').selectAll().execute()).toEqual([])
  const shown = await lab.client(newer).transaction(signature)
  expect(shown).toMatchObject({ signers: [stranger.address], tables: [] })
})
