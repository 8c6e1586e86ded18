// The payout room and the deposit desk on a chain that is not ours: what they rely on is Solana, not our stand-in for it.
import { Keypair } from '@solana/web3.js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf, post } from '../../console/rewards/ledger.ts'
import { requesterPayee } from '../../console/rewards/payees.ts'
import { collectAndReconcile } from '../../console/settlement/collect.ts'
import { createDeposits } from '../../console/settlement/deposits.ts'
import { parseTransaction } from '../../console/settlement/local-chain/message.ts'
import { createPayouts } from '../../console/settlement/payouts.ts'
import { createSolana, type Solana, type Token } from '../../console/settlement/solana.ts'
import { list } from '../../console/settlement/tables/shelf.ts'
import { TERMS } from '../../console/settlement/tables/worth.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'
import { nameWallet } from '../../console/wallets/wallets.ts'
import { silent } from './lab.ts'
import { type Surfnet, startSurfpool, surfpoolMissing } from './surfpool.ts'

const sleep = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms))
const newKey = () => {
  const { publicKey, secretKey } = Keypair.generate()
  return { address: publicKey.toBase58(), secretKey }
}

let net: Surfnet
let store: Store
let treasury: ReturnType<typeof newKey>
let solana: Solana
let token: Token

beforeAll(async () => {
  if (surfpoolMissing !== undefined) return
  net = startSurfpool()
  store = await openDatabase(':memory:')
  treasury = newKey()
  solana = createSolana({ rpcUrl: net.rpcUrl, treasury, sleep })
  await solana.airdrop(treasury.address, 100_000_000_000)
  const mint = newKey()
  await solana.createMint(mint, 6, 1_000_000_000n)
  token = { mint: mint.address, decimals: 6 }
})
afterAll(async () => {
  await store?.close()
  net?.stop()
})

const settings = { minimumUnits: 1n, accountFeeUnits: 0n, keepMarkersMs: 0, quietBlocks: 0, tables: TERMS }
const engine = (db = store.db) =>
  createPayouts({
    db,
    chain: solana.payer(token),
    holder: 'console',
    now: Date.now,
    log: silent,
    moved: () => undefined,
    settings,
  })

/** Until the chain has made it final: 31 slots of 400 ms. */
async function until(done: () => Promise<boolean>, turn: () => Promise<unknown>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await done()); await sleep(500)) {
    if (Date.now() > end) throw new Error('waited in vain')
    await turn()
  }
}

it('pays a batch of owners once, and a database that forgot it pays nothing again', async (context) => {
  context.skip(surfpoolMissing !== undefined, surfpoolMissing)
  const owners = Array.from({ length: 12 }, (_, index) => ({ id: `owner${index}`, wallet: newKey().address }))
  const at = Date.now()
  await store.db.transaction().execute(async (trx) => {
    for (const [index, { id, wallet }] of owners.entries()) {
      await trx.insertInto('owners').values({ id, name: id, created_at: at }).execute()
      await nameWallet(trx, id, wallet, at)
      const [from, to] = [accounts.outside, accounts.payable(id)]
      await post(trx, [{ kind: 'grant', ref: `seed:${id}`, from, to, amount: BigInt(1_000 + index), at }])
    }
  })
  const held = () => Promise.all(owners.map(({ wallet }) => solana.tokenBalance(token.mint, wallet)))
  const wanted = owners.map((_, index) => BigInt(1_000 + index))
  const payouts = engine()
  await payouts.settleNow()
  const states = async () =>
    (await store.db.selectFrom('payout_batches').select('state').execute()).map(({ state }) => state)
  await until(async () => (await states()).every((state) => state === 'finalized'), payouts.turn)
  expect(await held()).toEqual(wanted)
  expect((await states()).length, 'several to a transaction').toBeLessThan(owners.length / 2)

  // As from a backup of before the payout: everybody is owed again, and no batch is known.
  await store.db.deleteFrom('payout_attempts').execute()
  await store.db.deleteFrom('payouts').execute()
  await store.db.deleteFrom('payout_batches').execute()
  await store.db.deleteFrom('transfers').where('kind', 'in', ['payout', 'paid']).execute()
  for (const [index, { id }] of owners.entries()) {
    await store.db
      .updateTable('accounts')
      .set({ balance_units: 0n })
      .where('id', 'in', [`in-payout:${id}`, `paid:${id}`])
      .execute()
    await store.db
      .updateTable('accounts')
      .set({ balance_units: BigInt(1_000 + index) })
      .where('id', '=', `payable:${id}`)
      .execute()
  }
  const restored = engine()
  await until(
    async () => (await store.db.selectFrom('payout_batches').selectAll().execute()).length > 0,
    async () => {
      await restored.turn()
      await restored.settleNow()
    },
  )
  await restored.settleNow()
  await restored.turn()
  expect(await held()).toEqual(wanted)
  expect(await balanceOf(store.db, accounts.paid('owner3'))).toBe(1_003n)
  expect(await balanceOf(store.db, accounts.payable('owner3'))).toBe(0n)
}, 120_000)

it('credits a deposit and pays it back', async (context) => {
  context.skip(surfpoolMissing !== undefined, surfpoolMissing)
  await store.db
    .insertInto('requesters')
    .values({ id: 'gate', name: 'Gate', key_hash: 'h', owner_id: null, created_at: 0 })
    .execute()
  const deposits = createDeposits({
    db: store.db,
    chain: solana.deposits(token),
    mint: token.mint,
    minimumUnits: 100n,
    now: Date.now,
    everyMs: 1,
    credited: () => undefined,
    log: silent,
  })
  const { wallet: to } = await deposits.addressOf('gate')
  const payer = solana.payer(token)
  await payer.funds([to])
  const gift = { id: 'gift', memo: 'gift', marker: null, lines: [{ wallet: to, units: 5_000n }] }
  await payer.send(payer.sign(gift, new Set([to]), await payer.lifetime()).wire)
  const budget = () => balanceOf(store.db, accounts.budget('gate'))
  await until(async () => (await budget()) === 5_000n, deposits.turn)

  const wallet = newKey().address
  await nameWallet(store.db, requesterPayee('gate'), wallet, 0)
  const payouts = engine()
  await store.db
    .transaction()
    .execute((trx) =>
      payouts.planWithdrawal(trx, { requester: 'gate', requestId: 'r1', units: 2_000n, wallet, hasAccount: false }),
    )
  await until(async () => (await solana.tokenBalance(token.mint, wallet)) === 2_000n, payouts.turn)
  expect(await budget()).toBe(3_000n)
}, 120_000)

it('pays through a lookup table, and a database that knows neither takes both in', async (context) => {
  context.skip(surfpoolMissing !== undefined, surfpoolMissing)
  const owners = Array.from({ length: 20 }, (_, index) => ({ id: `listed${index}`, wallet: newKey().address }))
  const name = (db: Store['db']) =>
    db.transaction().execute(async (trx) => {
      for (const { id, wallet } of owners) {
        await trx.insertInto('owners').values({ id, name: id, created_at: 0 }).execute()
        await nameWallet(trx, id, wallet, 0)
      }
    })
  const owe = (round: number) =>
    store.db.transaction().execute((trx) =>
      post(
        trx,
        owners.map(({ id }, index) => {
          const [from, to] = [accounts.outside, accounts.payable(id)]
          return { kind: 'grant', ref: `round:${round}:${id}`, from, to, amount: BigInt(100 + index), at: Date.now() }
        }),
      ),
    )
  const held = () => Promise.all(owners.map(({ wallet }) => solana.tokenBalance(token.mint, wallet)))
  const payer = solana.payer(token)
  const payouts = engine()
  const settle = async (round: number) => {
    await owe(round)
    const { planned } = await payouts.settleNow()
    const open = store.db.selectFrom('payout_batches').select('id').where('state', '!=', 'finalized')
    await until(async () => (await open.execute()).length === 0, payouts.turn)
    const attempts = store.db.selectFrom('payout_attempts').select('wire').where('batch_id', 'in', planned)
    return (await attempts.execute()).map(({ wire }) => parseTransaction(wire).version)
  }
  // The gift of the test before is no payout.
  const kinds = async (db: Store['db']) => (await collectAndReconcile(db, payer)).differences.map(({ kind }) => kind)
  await name(store.db)
  expect(new Set(await settle(1))).toEqual(new Set(['legacy']))

  const listings = owners.map(({ wallet }) => ({ wallet, account: payer.accountOf(wallet) }))
  await store.db.transaction().execute((trx) => list(trx, listings, Date.now()))
  const table = store.db.selectFrom('lookup_tables').selectAll()
  await until(async () => (await table.executeTakeFirst())?.seen === owners.length, payouts.tend)
  expect(await settle(2)).toEqual([0])
  const wanted = owners.map((_, index) => 2n * BigInt(100 + index))
  expect(await held()).toEqual(wanted)
  expect(await kinds(store.db)).toEqual(['unknown'])

  const other = await openDatabase(':memory:')
  await name(other.db)
  const restored = engine(other.db)
  const known = other.db.selectFrom('lookup_tables').select(['address', 'state'])
  await until(async () => (await known.execute()).length > 0, restored.settleNow)
  expect(await known.execute()).toEqual([
    { address: (await table.executeTakeFirstOrThrow()).address, state: 'leaving' },
  ])
  expect(await held()).toEqual(wanted)
  for (const [index, { id }] of owners.entries())
    expect(await balanceOf(other.db, accounts.paid(id))).toBe(wanted[index])
  expect(await kinds(other.db)).toEqual(['unknown'])
  await other.close()
}, 180_000)
