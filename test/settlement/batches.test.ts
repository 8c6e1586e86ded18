// Batches on a real chain: how many payouts a transaction holds, who is paid, and whoever cannot be paid holding up nobody else.
import { Keypair } from '@solana/web3.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf, post } from '../../console/rewards/ledger.ts'
import { collectAndReconcile } from '../../console/settlement/collect.ts'
import { fill } from '../../console/settlement/fill.ts'
import { markerAddress, markerSeed } from '../../console/settlement/marker.ts'
import { MAX_TRANSACTION_BYTES } from '../../console/settlement/payer.ts'
import { withdrawalName } from '../../console/settlement/plan-withdrawal.ts'
import { openStage } from './stage.ts'

const stage = openStage()

const { drive, batches, payouts: lines, expectPaidOnce } = stage
const wires = () => stage.world.store.db.selectFrom('payout_attempts').select(['batch_id', 'wire']).execute()
const nameWallet = (payee: string, address: string) =>
  stage.world.store.db.insertInto('wallets').values({ payee, address, since: 0, proof: 'operator' }).execute()
const give = (to: ReturnType<typeof accounts.budget>, amount: bigint) =>
  stage.world.store.db
    .transaction()
    .execute((trx) => post(trx, [{ kind: 'grant', ref: to, from: accounts.outside, to, amount, at: 0 }]))
const newWallet = () => Keypair.generate().publicKey.toBase58()

describe('a transaction', () => {
  it('holds as many payouts as its bytes allow: more where no account must be made', async () => {
    const { owners } = await stage.openFor(40)
    const chain = stage.world.chain()
    const engine = stage.world.engine()
    const { planned, payouts } = await engine.settleNow()
    expect(payouts).toBe(40)
    await drive(engine, 20)
    await expectPaidOnce()
    const first = Map.groupBy(await lines(), ({ batch_id }) => batch_id)
    const sizes = planned.map((id) => first.get(id)?.length)
    for (const { wire } of await wires()) expect(wire.length).toBeLessThanOrEqual(MAX_TRANSACTION_BYTES)
    for (const { id } of owners) await stage.world.credit(id, 7n)
    const again = await engine.settleNow()
    await drive(engine, 20)
    await expectPaidOnce()
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
    await stage.openFor(1)
    const feePayer = await stage.lab.makeTreasury(stage.token)
    const lone = stage.world.chain()
    const apart = stage.lab
      .client(async (_method, _body, forward) => forward(), stage.world.treasury, feePayer)
      .payer(stage.token)
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
    await stage.openFor(1)
    const engine = stage.world.engine()
    await engine.settleNow()
    const [batch] = await batches()
    const seed = markerSeed(stage.world.treasury.secretKey.subarray(0, 32), 'e1-1')
    expect(batch?.marker).toBe(markerAddress(stage.world.treasury.address, seed))
    expect(stage.lab.chain.account(batch?.marker ?? '')).toMatchObject({ lamports: 890_880n, data: new Uint8Array() })
    expect(seed).not.toContain('e1-1')
    await drive(engine, 15)
  })

  it('charges the rent of an account once and shows it in the line that made it', async () => {
    const { owners } = await stage.openFor(2)
    // The second has its account already.
    stage.lab.freeze(stage.token, owners[1]!.wallet, true)
    stage.lab.freeze(stage.token, owners[1]!.wallet, false)
    const engine = stage.world.engine()
    await engine.settleNow()
    await drive(engine, 15)
    expect((await lines()).map(({ rent_lamports }) => rent_lamports)).toEqual([2_039_280, 0])
    expect((await batches())[0]).toMatchObject({ marker_lamports: 890_880 })
    await stage.world.credit('owner1', 5n)
    await engine.settleNow()
    await drive(engine, 15)
    expect((await lines()).at(-1)).toMatchObject({ payee: 'owner1', rent_lamports: 0 })
  })
})

describe('two payees with one wallet', () => {
  it('are two lines of one batch, and the account is made and paid for once', async () => {
    const { owners } = await stage.openFor(1)
    await nameWallet('publisher/bramble', owners[0]!.wallet)
    await give(accounts.royalty('bramble'), 70n)
    const engine = stage.world.engine()
    await engine.settleNow()
    await drive(engine, 15)
    expect(await lines()).toMatchObject([
      { id: 'e1-1/1', payee: 'owner1', amount_units: 1_000n, rent_lamports: 2_039_280 },
      { id: 'e1-1/2', payee: 'publisher/bramble', amount_units: 70n, rent_lamports: 0 },
    ])
    expect(await stage.world.held(owners[0]!.wallet)).toBe(1_070n)
    stage.lab.clock.advance(30_000)
    expect(await collectAndReconcile(stage.world.store.db, stage.world.chain())).toMatchObject({ ok: true })
  })
})

describe('publishers and requesters', () => {
  it('get royalties like owners, and withdrawals as asked for', async () => {
    await stage.openFor(1)
    const [publisher, requester] = [newWallet(), newWallet()]
    await nameWallet('publisher/bramble', publisher)
    await give(accounts.royalty('bramble'), 70n)
    await give(accounts.budget('cam'), 500n)
    const engine = stage.world.engine()
    const { db } = stage.world.store
    const withdrawal = { requester: 'cam', requestId: 'r1', units: 400n, wallet: requester, hasAccount: false }
    expect(await db.transaction().execute((trx) => engine.planWithdrawal(trx, withdrawal))).toBe(
      withdrawalName(withdrawal),
    )
    expect(await engine.settleNow()).toMatchObject({ planned: ['e1-1'], payouts: 2 })
    await drive(engine, 15)
    await expectPaidOnce()
    expect([await stage.world.held(publisher), await stage.world.held(requester)]).toEqual([70n, 400n])
    expect(await balanceOf(db, accounts.budget('cam'))).toBe(100n)
    expect(await balanceOf(db, accounts.paid('requester/cam'))).toBe(400n)
    expect(await balanceOf(db, accounts.paid('publisher/bramble'))).toBe(70n)
  })

  it('cannot withdraw more than is free', async () => {
    await stage.openFor(1)
    await give(accounts.budget('cam'), 500n)
    const engine = stage.world.engine()
    const asked = stage.world.store.db.transaction().execute((trx) =>
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
    const { owners } = await stage.openFor(4)
    stage.lab.freeze(stage.token, owners[2]!.wallet, true)
    const engine = stage.world.engine()
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
    expect((await stage.world.ledger())[2]).toMatchObject({ payable: 1_002n, paid: 0n })
    stage.lab.freeze(stage.token, owners[2]!.wallet, false)
    for (const { id } of owners) await stage.world.credit(id, 1n)
    // Those paid since are together again; the other stays alone until it was paid.
    expect(await engine.settleNow()).toMatchObject({ planned: ['e1-6', 'e1-7'], payouts: 4 })
    await drive(engine, 15)
    await expectPaidOnce()
  })
})

describe('reconciling with the real chain', () => {
  it('agrees after payouts and finds tokens that left otherwise', async () => {
    await stage.openFor(3)
    const engine = stage.world.engine()
    await engine.settleNow()
    await drive(engine, 50)
    const { db } = stage.world.store
    expect(await collectAndReconcile(db, stage.world.chain())).toMatchObject({
      ok: true,
      chain: { payouts: 1, units: 3_003n },
      ledger: { payouts: 1, units: 3_003n },
    })
    const chain = stage.world.chain()
    const lines = [{ wallet: newWallet(), units: 5n }]
    const stray = { id: 'x', memo: 'by hand', marker: null, lines }
    await chain.send(chain.sign(stray, new Set([lines[0]!.wallet]), await chain.lifetime()).wire)
    stage.lab.clock.advance(60_000)
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
