// A database that came back from a backup, and an RPC that denies what the chain holds: nothing is paid again.
import { Keypair, PublicKey, SystemProgram } from '@solana/web3.js'
import { describe, expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf } from '../../console/rewards/ledger.ts'
import { ChainError } from '../../console/settlement/chain-error.ts'
import { CrashSignal, createLife } from './mortal.ts'
import { openStage } from './stage.ts'

const stage = openStage()

const worldOf = async (...amounts: bigint[]): Promise<void> => {
  await stage.open({ amounts })
}
const { drive, settleAndFinish, batches, engineWith, expectPaidOnce, differences } = stage

describe('a database restored from an old copy', () => {
  it('pays nothing again: what the chain paid is taken in, and the books say so', async () => {
    await worldOf(1_000n, 2_000n)
    const old = await stage.world.backup()
    await settleAndFinish(stage.world.engine())
    await stage.world.restore(old)
    const engine = stage.world.engine()
    expect(await engine.settleNow()).toMatchObject({ planned: [], waits: expect.stringMatching(/does not know/) })
    await drive(engine, 20)
    await expectPaidOnce()
    expect(await batches()).toMatchObject([
      { id: 'e1-1', state: 'finalized', adopted_at: expect.any(Number), marker: expect.any(String) },
    ])
    expect(await differences()).toEqual([])
    // Life goes on, under names that the chain has not seen.
    await stage.world.credit('owner1', 5n)
    await settleAndFinish(engine)
    expect((await batches()).map(({ id }) => id)).toEqual(['e1-1', 'e1-2'])
    await expectPaidOnce()
  })

  it.each([
    ['planned', 'e1-1 planned'],
    ['signed', 'e1-1 signed'],
    ['sent', 'e1-1 sent'],
  ])('in the middle of a batch that was %s and has been paid since', async (_name, until) => {
    await worldOf(1_000n, 2_000n)
    // Killed at the first step after this move.
    const life = createLife()
    const dying = stage.world.engine({
      ...life,
      step() {
        if (stage.world.moves.includes(until)) throw new CrashSignal('killed')
      },
    })
    await dying.settleNow().catch((error: unknown) => expect(error).toBeInstanceOf(CrashSignal))
    expect(stage.world.moves.at(-1)).toBe(until)
    const old = await stage.world.backup()
    const engine = stage.world.engine()
    // What was not sent expires: it is another attempt that pays, which the copy has not heard of.
    stage.lab.clock.advance(120_000)
    await drive(engine, 30)
    expect(await batches()).toMatchObject([{ state: 'finalized' }])
    await stage.world.restore(old)
    await drive(stage.world.engine(), 40)
    await settleAndFinish(stage.world.engine())
    await expectPaidOnce()
    expect(await differences()).toEqual([])
  })

  it('that holds in an open batch what the chain paid under another name ends that batch first', async () => {
    await worldOf(1_000n, 2_000n)
    const { wallet } = stage.world.owners[1]!
    const stuck = engineWith({ rehearse: async () => ({ outcome: 'refused', reason: 'busy' }) })
    await stuck.settleNow()
    expect(await batches()).toMatchObject([{ id: 'e1-1', state: 'planned' }])
    const old = await stage.world.backup()
    stage.lab.freeze(stage.token, wallet, true)
    const engine = stage.world.engine()
    await drive(engine, 2)
    // The batch failed for the frozen account; alone, the other owner is paid as e1-2.
    await settleAndFinish(engine)
    expect((await batches()).map(({ id, state }) => `${id} ${state}`)).toEqual([
      'e1-1 failed',
      'e1-2 finalized',
      'e1-3 failed',
    ])
    stage.lab.freeze(stage.token, wallet, false)
    await stage.world.restore(old)
    const revived = stage.world.engine()
    await drive(revived, 20)
    await settleAndFinish(revived)
    await expectPaidOnce()
    expect(await differences()).toEqual([])
  })

  it('is taken in oldest first, so that a crash between two loses none', async () => {
    await worldOf(1_000n)
    const old = await stage.world.backup()
    const engine = stage.world.engine()
    for (let n = 1; n <= 3; n++) {
      await settleAndFinish(engine)
      if (n < 3) await stage.world.credit('owner1', BigInt(n))
    }
    await stage.world.restore(old)
    // Each life dies a little later; what it adopted is kept.
    let crashes = 0
    for (let dieAt = 5; ; dieAt += 5) {
      try {
        const next = stage.world.engine(createLife(dieAt))
        for (let i = 0; i < 4; i++) await next.turn()
        await settleAndFinish(next)
        break
      } catch (error) {
        if (!(error instanceof CrashSignal)) throw error
        crashes++
      }
    }
    expect(crashes).toBeGreaterThan(10)
    expect((await batches()).map(({ id }) => id)).toEqual(['e1-1', 'e1-2', 'e1-3'])
    await expectPaidOnce()
  })

  it('finds what the lost one sent beside an older batch, and what landed before it', async () => {
    await worldOf(1_000n)
    const real = stage.world.chain()
    const kept: Uint8Array[] = []
    const slow = engineWith({ send: async (wire) => void kept.push(wire) })
    await slow.settleNow()
    const [first] = kept
    expect(await batches()).toMatchObject([{ id: 'e1-1', state: 'sent' }])
    const old = await stage.world.backup()
    await stage.world.credit('owner1', 7n)
    const isFirst = (wire: Uint8Array): boolean => Buffer.from(wire).equals(first ?? new Uint8Array())
    const beside = engineWith({ send: async (wire) => (isFirst(wire) ? undefined : real.send(wire)) })
    await beside.settleNow()
    await drive(beside, 3)
    await real.send(first ?? new Uint8Array())
    await drive(beside, 20)
    expect(await batches()).toMatchObject([
      { id: 'e1-1', state: 'finalized' },
      { id: 'e1-2', state: 'finalized' },
    ])
    await stage.world.restore(old)
    const engine = stage.world.engine()
    await drive(engine, 30)
    await settleAndFinish(engine)
    await expectPaidOnce()
    expect(await differences()).toEqual([])
  })

  it('without what was earned since books the rest as found on the chain', async () => {
    await worldOf(1_000n)
    const file = await stage.world.backup()
    await stage.world.credit('owner1', 500n)
    await settleAndFinish(stage.world.engine())
    await stage.world.restore(file)
    const { db } = stage.world.store
    // The later credit is lost for good.
    await db.deleteFrom('transfers').where('ref', '=', 'credit 2').execute()
    await db.updateTable('accounts').set({ balance_units: 1_000n }).where('id', '=', 'payable:owner1').execute()
    await db.updateTable('accounts').set({ balance_units: -1_000n }).where('id', '=', 'outside').execute()
    await settleAndFinish(stage.world.engine())
    const moved = await db
      .selectFrom('transfers')
      .select(['kind', 'amount_units'])
      .where('kind', 'not in', ['grant', 'release'])
      .execute()
    expect(moved.map(({ kind, amount_units }) => `${kind} ${amount_units}`)).toEqual([
      'payout 1000',
      'paid 1000',
      'adopted 500',
    ])
    expect(await balanceOf(db, accounts.paid('owner1'))).toBe(1_500n)
  })

  it('that does not know whom the chain paid books them as lost', async () => {
    await worldOf(1_000n)
    const { wallet } = stage.world.owners[0]!
    const old = await stage.world.backup()
    await settleAndFinish(stage.world.engine())
    await stage.world.restore(old)
    await stage.world.store.db.deleteFrom('wallets').execute()
    await settleAndFinish(stage.world.engine())
    expect(await stage.world.store.db.selectFrom('payouts').select(['payee', 'wallet']).execute()).toEqual([
      { payee: `lost/${wallet}`, wallet },
    ])
    expect(await balanceOf(stage.world.store.db, accounts.payable('owner1'))).toBe(1_000n)
  })

  it('sends nothing while the chain cannot be compared, and says so', async () => {
    await worldOf(1_000n)
    let silentRpc = true
    const real = stage.world.chain()
    const sends: Uint8Array[] = []
    const engine = engineWith({
      history: (...asked) =>
        silentRpc ? Promise.reject(new ChainError('unreachable', 'no answer from the RPC')) : real.history(...asked),
      send(wire) {
        sends.push(wire)
        return real.send(wire)
      },
    })
    expect(await engine.settleNow()).toMatchObject({ planned: [], waits: 'payouts wait: no answer from the RPC' })
    await drive(engine, 10)
    expect(sends).toEqual([])
    expect(engine.standing()).toMatchObject({ trouble: 'payouts wait: no answer from the RPC' })
    silentRpc = false
    // What was asked for is done as soon as it can be.
    await drive(engine, 20)
    await expectPaidOnce()
  })

  it('waits until what an earlier console may have sent has landed or expired', async () => {
    await worldOf(1_000n)
    const engine = stage.world.engine(undefined, 'console-1', { quietBlocks: 200 })
    await engine.settleNow()
    await drive(engine, 70)
    expect(engine.standing().trouble).toMatch(/given time to land/)
    expect(await batches()).toEqual([])
    await drive(engine, 40)
    await expectPaidOnce()
  })
})

describe('an RPC that answers null for every signature', () => {
  const blind = { statuses: async () => ({ slot: Number.MAX_SAFE_INTEGER, found: new Map() }) }

  it('makes nobody be paid twice, and the marker tells that the batch is paid', async () => {
    await worldOf(1_000n, 2_000n)
    const engine = engineWith(blind)
    await settleAndFinish(engine)
    expect(await batches()).toMatchObject([{ state: 'finalized' }])
    await expectPaidOnce()
  })

  it('and hides the marker does not get a second transaction either', async () => {
    await worldOf(1_000n, 2_000n)
    let hides = true
    const real = stage.world.chain()
    const engine = engineWith({
      ...blind,
      existing: async (addresses) =>
        hides ? { slot: Number.MAX_SAFE_INTEGER, found: new Set() } : real.existing(addresses),
    })
    await engine.settleNow()
    await drive(engine, 150)
    expect(await batches()).toMatchObject([{ state: 'expired' }])
    expect(await stage.world.store.db.selectFrom('payout_attempts').selectAll().execute()).toHaveLength(1)
    for (const { wallet, owed } of await stage.world.ledger()) expect(await stage.world.held(wallet)).toBe(owed)
    hides = false
    await drive(engine, 2)
    await expectPaidOnce()
  })
})

describe('a marker that a stranger made', () => {
  it('is not taken for a payment: the batch fails and its money is paid under another name', async () => {
    await worldOf(1_000n)
    const stuck = engineWith({ rehearse: async () => ({ outcome: 'refused', reason: 'busy' }) })
    await stuck.settleNow()
    const [batch] = await batches()
    const stranger = Keypair.fromSecretKey(stage.lab.treasury.secretKey)
    const toPubkey = new PublicKey(batch?.marker ?? '')
    const lamports = 890_880
    stage.lab.submit([SystemProgram.transfer({ fromPubkey: stranger.publicKey, toPubkey, lamports })], [stranger])
    const engine = stage.world.engine()
    await drive(engine, 2)
    expect(await batches()).toMatchObject([{ state: 'planned' }])
    await drive(engine, 20)
    expect(await batches()).toMatchObject([{ state: 'failed', failure: expect.stringMatching(/marker/), faulty: 0 }])
    await settleAndFinish(engine)
    await expectPaidOnce()
    expect(await differences()).toEqual([])
  })
})

it('a memo of ours that a stranger wrote beside the treasury is nobody’s payout', async () => {
  await worldOf(1_000n)
  const stranger = await stage.lab.makeTreasury(stage.token)
  const chain = stage.lab.client(async (_method, _body, forward) => forward(), stranger).payer(stage.token)
  const lines = [{ wallet: stage.world.treasury.address, units: 1n }]
  const forged = { id: 'e1-1', memo: 'bramble:e1-1', marker: null, lines }
  // Making the treasury's account, which is there, names the treasury itself.
  const wire = chain.sign(forged, new Set([stage.world.treasury.address]), await chain.lifetime()).wire
  await chain.send(wire)
  stage.lab.clock.advance(30_000)
  const [newest] = await stage.world.chain().history(stage.world.treasury.address, { minSlot: 0 })
  expect(newest).toMatchObject({ memo: 'bramble:e1-1', isFinal: true })
  await settleAndFinish(stage.world.engine())
  expect(await batches()).toMatchObject([{ id: 'e1-1', adopted_at: null, state: 'finalized' }])
  await expectPaidOnce()
})

it('a batch from before there were markers is paid without one', async () => {
  await worldOf(1_000n)
  const { db } = stage.world.store
  const stuck = engineWith({ rehearse: async () => ({ outcome: 'refused', reason: 'busy' }) })
  await stuck.settleNow()
  await db.updateTable('payout_batches').set({ marker: null }).execute()
  await drive(stage.world.engine(), 20)
  expect(await batches()).toMatchObject([{ state: 'finalized', marker: null, marker_lamports: 0 }])
  await expectPaidOnce()
})
