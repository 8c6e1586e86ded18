// Batches on a real chain: how many payouts a transaction holds, what it costs whom, who is paid, and whoever cannot be paid
// holding up nobody else.
import { Keypair } from '@solana/web3.js'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { openEpoch } from '../../console/rewards/epochs.ts'
import { balanceOf, post } from '../../console/rewards/ledger.ts'
import { collectAndReconcile } from '../../console/settlement/collect.ts'
import { fill } from '../../console/settlement/fill.ts'
import { markerAddress, markerSeed } from '../../console/settlement/marker.ts'
import { MAX_TRANSACTION_BYTES } from '../../console/settlement/payer.ts'
import type { Payouts } from '../../console/settlement/payouts.ts'
import { planPayouts } from '../../console/settlement/plan.ts'
import { withdrawalName } from '../../console/settlement/plan-withdrawal.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { createLab, type Lab } from './lab.ts'
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

const worldOf = async (owners: number, options: Partial<Parameters<typeof createWorld>[0]> = {}): Promise<World> => {
  const amounts = Array.from({ length: owners }, (_, index) => BigInt(1_000 + index))
  world = await createWorld({ lab, token, amounts, ...options })
  return world
}
const drive = async (engine: Payouts, turns: number): Promise<void> => {
  for (let i = 0; i < turns; i++) {
    lab.clock.advance(1_000)
    await engine.turn()
  }
}
const batches = () =>
  world.store.db.selectFrom('payout_batches').selectAll().orderBy('created_at').orderBy('id').execute()
const lines = () => world.store.db.selectFrom('payouts').selectAll().orderBy('id').execute()
const wires = () => world.store.db.selectFrom('payout_attempts').select(['batch_id', 'wire']).execute()
const nameWallet = (payee: string, address: string) =>
  world.store.db.insertInto('wallets').values({ payee, address, since: 0, proof: 'operator' }).execute()
const give = (to: ReturnType<typeof accounts.budget>, amount: bigint) =>
  world.store.db
    .transaction()
    .execute((trx) => post(trx, [{ kind: 'grant', ref: to, from: accounts.outside, to, amount, at: 0 }]))
const newWallet = () => Keypair.generate().publicKey.toBase58()

const expectAllPaid = async (): Promise<void> => {
  for (const { wallet, owed, paid } of await world.ledger()) {
    expect(paid).toBe(owed)
    expect(await world.held(wallet)).toBe(owed)
  }
}

describe('a transaction', () => {
  it('holds as many payouts as its bytes allow: more where no account must be made', async () => {
    const { owners } = await worldOf(40)
    const chain = world.chain()
    const engine = world.engine()
    const { planned, payouts } = await engine.settleNow()
    expect(payouts).toBe(40)
    await drive(engine, 20)
    await expectAllPaid()
    const first = Map.groupBy(await lines(), ({ batch_id }) => batch_id)
    const sizes = planned.map((id) => first.get(id)?.length)
    for (const { wire } of await wires()) expect(wire.length).toBeLessThanOrEqual(MAX_TRANSACTION_BYTES)
    for (const { id } of owners) await world.credit(id, 7n)
    const again = await engine.settleNow()
    await drive(engine, 20)
    await expectAllPaid()
    const second = Map.groupBy(await lines(), ({ batch_id }) => batch_id)
    expect([sizes, again.planned.map((id) => second.get(id)?.length)]).toMatchInlineSnapshot(`
      [
        [
          8,
          8,
          8,
          8,
          8,
        ],
        [
          15,
          15,
          10,
        ],
      ]
    `)
    // One more would not fit.
    const one = second.get(again.planned[0] ?? '') ?? []
    const { id, memo, marker } = (await batches()).find((batch) => batch.id === again.planned[0])!
    const shares = [...one, one[0]!].map((line) => ({ wallet: line.wallet, units: line.amount_units }))
    const sizeOf = (count: number) =>
      chain.sizeOf(
        { id, memo, marker, lines: [...shares.slice(0, count), { wallet: newWallet(), units: 1n }] },
        new Set(),
      )
    expect(sizeOf(one.length)).toBeGreaterThan(MAX_TRANSACTION_BYTES)
    expect(sizeOf(one.length - 1)).toBe((await wires()).find(({ batch_id }) => batch_id === id)?.wire.length)
  })

  it('is as large as it was said to be, whatever is in it', async () => {
    await worldOf(1)
    const feePayer = await lab.makeTreasury(token)
    const lone = world.chain()
    const apart = lab.client(async (_method, _body, forward) => forward(), world.treasury, feePayer).payer(token)
    const life = await lone.lifetime()
    const wallets = Array.from({ length: 12 }, newWallet)
    const some = fc.record({
      lines: fc.array(fc.record({ wallet: fc.constantFrom(...wallets), units: fc.bigInt(1n, 2n ** 60n) }), {
        minLength: 1,
        maxLength: 8,
      }),
      without: fc.subarray(wallets).map((list) => new Set(list)),
      memo: fc.string({ maxLength: 130 }),
      id: fc.constantFrom('e1-1', 'e1234-56'),
      isMarked: fc.boolean(),
      chain: fc.constantFrom(lone, apart),
    })
    fc.assert(
      fc.property(some, ({ lines, without, memo, id, isMarked, chain }) => {
        const payment = { id, memo, marker: isMarked ? chain.markerOf(id) : null, lines }
        const size = chain.sizeOf(payment, without)
        if (size <= MAX_TRANSACTION_BYTES) expect(chain.sign(payment, without, life).wire.length).toBe(size)
        else expect(() => chain.sign(payment, without, life)).toThrow(/too large/)
      }),
      { numRuns: 100 },
    )
  })

  it('is filled in order, every line once, none too large, none that would have taken one more', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 })
    fc.assert(
      fc.property(sizes, (all) => {
        const size = (part: readonly number[]): number => part.reduce((sum, one) => sum + one, 0)
        const parts = fill(all, (part) => size(part) <= 50)
        expect(parts.flat()).toEqual(all)
        for (const [index, part] of parts.entries()) {
          expect(part.length).toBeGreaterThan(0)
          if (part.length > 1) expect(size(part)).toBeLessThanOrEqual(50)
          const next = parts[index + 1]?.[0]
          if (next !== undefined) expect(size([...part, next])).toBeGreaterThan(50)
        }
      }),
    )
  })

  it('makes its marker first, of a seed that only the key knows', async () => {
    await worldOf(1)
    const engine = world.engine()
    await engine.settleNow()
    const [batch] = await batches()
    const seed = markerSeed(world.treasury.secretKey.subarray(0, 32), 'e1-1')
    expect(batch?.marker).toBe(markerAddress(world.treasury.address, seed))
    expect(lab.chain.account(batch?.marker ?? '')).toMatchObject({ lamports: 890_880n, data: new Uint8Array() })
    expect(seed).not.toContain('e1-1')
    await drive(engine, 15)
  })

  it('charges the rent of an account once and shows it in the line that made it', async () => {
    const { owners } = await worldOf(2)
    // The second has its account already.
    lab.freeze(token, owners[1]!.wallet, true)
    lab.freeze(token, owners[1]!.wallet, false)
    const engine = world.engine()
    await engine.settleNow()
    await drive(engine, 15)
    expect((await lines()).map(({ rent_lamports }) => rent_lamports)).toEqual([2_039_280, 0])
    expect((await batches())[0]).toMatchObject({ marker_lamports: 890_880 })
    await world.credit('owner1', 5n)
    await engine.settleNow()
    await drive(engine, 15)
    expect((await lines()).at(-1)).toMatchObject({ payee: 'owner1', rent_lamports: 0 })
  })
})

describe('two payees with one wallet', () => {
  it('are two lines of one batch, and the account is made and paid for once', async () => {
    const { owners } = await worldOf(1)
    await nameWallet('publisher/bramble', owners[0]!.wallet)
    await give(accounts.royalty('bramble'), 70n)
    const engine = world.engine()
    await engine.settleNow()
    await drive(engine, 15)
    expect(await lines()).toMatchObject([
      { id: 'e1-1/1', payee: 'owner1', amount_units: 1_000n, rent_lamports: 2_039_280 },
      { id: 'e1-1/2', payee: 'publisher/bramble', amount_units: 70n, rent_lamports: 0 },
    ])
    expect(await world.held(owners[0]!.wallet)).toBe(1_070n)
    lab.clock.advance(30_000)
    expect(await collectAndReconcile(world.store.db, world.chain())).toMatchObject({ ok: true })
  })
})

describe('a separate fee payer', () => {
  it('pays fees and rents, and the treasury no lamport', async () => {
    const feePayer = await lab.makeTreasury(token)
    await worldOf(2, { feePayer })
    const before = [await lab.solana.lamports(world.treasury.address), await lab.solana.lamports(feePayer.address)]
    const engine = world.engine()
    await engine.settleNow()
    await drive(engine, 15)
    await expectAllPaid()
    const after = [await lab.solana.lamports(world.treasury.address), await lab.solana.lamports(feePayer.address)]
    expect(before[0]! - after[0]!).toBe(0n)
    expect(before[1]! - after[1]!).toBe(2n * 5_000n + 890_880n + 2n * 2_039_280n)
  })
})

describe('a fee for a new token account', () => {
  it('is withheld once, and not where there is an account', async () => {
    await worldOf(1, { settings: { accountFeeUnits: 100n } })
    const { wallet } = world.owners[0]!
    const engine = world.engine()
    await engine.settleNow()
    expect((await lines())[0]).toMatchObject({ amount_units: 900n })
    await drive(engine, 15)
    expect(await world.held(wallet)).toBe(900n)
    await world.credit('owner1', 50n)
    await engine.settleNow()
    await drive(engine, 15)
    expect(await world.held(wallet)).toBe(950n)
    expect(await balanceOf(world.store.db, accounts.operatorFees)).toBe(100n)
  })

  it('goes back when the batch comes to nothing', async () => {
    await worldOf(1, { settings: { accountFeeUnits: 100n } })
    const engine = world.engine()
    const { wallet } = world.owners[0]!
    await openEpoch(world.store.db, 0)
    const planned = await world.store.db.transaction().execute((trx) =>
      planPayouts(trx, {
        ...SETTINGS,
        accountFeeUnits: 100n,
        epoch: 1,
        now: 0,
        chain: world.chain(),
        withAccount: new Set(),
        treasuryUnits: 0n,
        through: [],
      }),
    )
    expect(planned.planned).toEqual(['e1-1'])
    expect(await balanceOf(world.store.db, accounts.operatorFees)).toBe(100n)
    // Frozen between planning and signing: the rehearsal finds out.
    lab.freeze(token, wallet, true)
    await drive(engine, 1)
    expect(await batches()).toMatchObject([{ state: 'failed' }])
    expect(await balanceOf(world.store.db, accounts.operatorFees)).toBe(0n)
    expect(await world.ledger()).toMatchObject([{ payable: 1_000n, inPayout: 0n }])
    lab.freeze(token, wallet, false)
    await engine.settleNow()
    await drive(engine, 15)
    await expectAllPaid()
  })

  it('that leaves less than the minimum leaves the money where it is, and says so', async () => {
    await worldOf(1, { settings: { accountFeeUnits: 1_000n } })
    const { held } = await world.engine().settleNow()
    const why = 'below the minimum payout: 1000 of 1 base units and 1000 for a new token account'
    expect(held).toMatchObject([{ payee: 'owner1', held: why }])
    expect(await batches()).toEqual([])
  })
})

describe('publishers and requesters', () => {
  it('get royalties like owners, and withdrawals as asked for', async () => {
    await worldOf(1)
    const [publisher, requester] = [newWallet(), newWallet()]
    await nameWallet('publisher/bramble', publisher)
    await give(accounts.royalty('bramble'), 70n)
    await give(accounts.budget('cam'), 500n)
    const engine = world.engine()
    const { db } = world.store
    const withdrawal = { requester: 'cam', requestId: 'r1', units: 400n, wallet: requester, hasAccount: false }
    expect(await db.transaction().execute((trx) => engine.planWithdrawal(trx, withdrawal))).toBe(
      withdrawalName(withdrawal),
    )
    expect(await engine.settleNow()).toMatchObject({ planned: ['e1-1'], payouts: 2 })
    await drive(engine, 15)
    await expectAllPaid()
    expect([await world.held(publisher), await world.held(requester)]).toEqual([70n, 400n])
    expect(await balanceOf(db, accounts.budget('cam'))).toBe(100n)
    expect(await balanceOf(db, accounts.paid('requester/cam'))).toBe(400n)
    expect(await balanceOf(db, accounts.paid('publisher/bramble'))).toBe(70n)
  })

  it('cannot withdraw more than is free', async () => {
    await worldOf(1)
    await give(accounts.budget('cam'), 500n)
    const engine = world.engine()
    const asked = world.store.db.transaction().execute((trx) =>
      engine.planWithdrawal(trx, {
        requester: 'cam',
        requestId: 'r1',
        units: 501n,
        wallet: newWallet(),
        hasAccount: false,
      }),
    )
    await expect(asked).rejects.toMatchObject({ code: 'insufficient' })
    expect(await batches()).toEqual([])
  })
})

describe('an account that cannot be paid', () => {
  it('fails its batch before anything is signed; then each payee is paid alone, and it holds up nobody', async () => {
    const { owners } = await worldOf(4)
    lab.freeze(token, owners[2]!.wallet, true)
    const engine = world.engine()
    await engine.settleNow()
    expect(await batches()).toMatchObject([
      { state: 'failed', failure: expect.stringMatching(/would not pay it: .*Custom/) },
    ])
    expect(await wires()).toEqual([])
    expect((await engine.settleNow()).planned).toEqual(['e1-2', 'e1-3', 'e1-4', 'e1-5'])
    await drive(engine, 15)
    expect((await batches()).map(({ state }) => state)).toEqual([
      'failed',
      'finalized',
      'finalized',
      'failed',
      'finalized',
    ])
    expect((await world.ledger())[2]).toMatchObject({ payable: 1_002n, paid: 0n })
    lab.freeze(token, owners[2]!.wallet, false)
    for (const { id } of owners) await world.credit(id, 1n)
    // Those paid since are together again; the other stays alone until it was paid.
    expect(await engine.settleNow()).toMatchObject({ planned: ['e1-6', 'e1-7'], payouts: 4 })
    await drive(engine, 15)
    await expectAllPaid()
  })
})

describe('the rent of markers', () => {
  it('comes back long after the batch is final, several in one transaction, and not before', async () => {
    await worldOf(1, { settings: { keepMarkersMs: 86_400_000 } })
    const engine = world.engine()
    for (let n = 0; n < 3; n++) {
      if (n > 0) await world.credit('owner1', 1n)
      await engine.settleNow()
      await drive(engine, 15)
    }
    const there = async () =>
      (await batches()).filter(({ marker }) => lab.chain.account(marker ?? '') !== undefined).length
    await engine.tidy()
    expect(await there()).toBe(3)
    lab.clock.advance(86_400_000)
    await engine.turn()
    const before = await lab.solana.lamports(world.treasury.address)
    await engine.tidy()
    expect(await there()).toBe(0)
    expect((await lab.solana.lamports(world.treasury.address)) - before).toBe(3n * 890_880n - 5_000n)
    expect((await batches()).map(({ reclaimed_at }) => reclaimed_at)).toEqual([null, null, null])
    lab.clock.advance(1_000)
    await engine.tidy()
    expect((await batches()).every(({ reclaimed_at }) => reclaimed_at !== null)).toBe(true)
    expect(await collectAndReconcile(world.store.db, world.chain())).toMatchObject({ ok: true, chain: { payouts: 3 } })
  })
})

describe('reconciling with the real chain', () => {
  it('agrees after payouts and finds tokens that left otherwise', async () => {
    await worldOf(3)
    const engine = world.engine()
    await engine.settleNow()
    await drive(engine, 50)
    const { db } = world.store
    expect(await collectAndReconcile(db, world.chain())).toMatchObject({
      ok: true,
      chain: { payouts: 1, units: 3_003n },
      ledger: { payouts: 1, units: 3_003n },
    })
    const chain = world.chain()
    const lines = [{ wallet: newWallet(), units: 5n }]
    const stray = { id: 'x', memo: 'by hand', marker: null, lines }
    await chain.send(chain.sign(stray, new Set([lines[0]!.wallet]), await chain.lifetime()).wire)
    lab.clock.advance(60_000)
    const found = await collectAndReconcile(db, chain)
    expect(found).toMatchObject({
      ok: false,
      differences: [{ kind: 'unknown', detail: expect.stringMatching(/^5 base/) }],
    })
    await db.updateTable('payouts').set({ amount_units: 1_001n }).where('payee', '=', 'owner1').execute()
    expect((await collectAndReconcile(db, chain)).differences.map(({ kind }) => kind)).toEqual([
      'lines-differ',
      'unknown',
    ])
  })
})
