// The payout engine on a good day, on a short day, and with a transaction that fails for good.
import { Keypair, PublicKey } from '@solana/web3.js'
import { beforeEach, describe, expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { openEpoch } from '../../console/rewards/epochs.ts'
import { balanceOf, post } from '../../console/rewards/ledger.ts'
import { ChainError } from '../../console/settlement/chain-error.ts'
import { createPayouts } from '../../console/settlement/payouts.ts'
import { silent } from './lab.ts'
import { createWorld, SETTINGS } from './payout-world.ts'
import { openStage } from './stage.ts'

const stage = openStage()
beforeEach(() => stage.open({ amounts: [1_500_000n, 2n] }))

const { drive, batches, payouts: lines, engineWith } = stage
const attempts = () => stage.world.store.db.selectFrom('payout_attempts').selectAll().execute()

describe('settling', () => {
  it('pays every owner to the unit and says each step', async () => {
    const engine = stage.world.engine()
    expect(await engine.settleNow()).toEqual({ planned: ['e1-1'], payouts: 2, held: [] })
    expect(await stage.world.ledger()).toMatchObject([
      { id: 'owner1', payable: 0n, inPayout: 1_500_000n, paid: 0n },
      { id: 'owner2', payable: 0n, inPayout: 2n, paid: 0n },
    ])
    await drive(engine, 3)
    expect((await batches()).map(({ state }) => state)).toEqual(['confirmed'])
    expect((await stage.world.ledger())[0]).toMatchObject({ inPayout: 1_500_000n, paid: 0n })
    await drive(engine, 15)
    expect((await batches()).map(({ state }) => state)).toEqual(['finalized'])
    for (const { wallet, owed, paid } of await stage.world.ledger()) {
      expect(paid).toBe(owed)
      expect(await stage.world.held(wallet)).toBe(owed)
    }
    const states = ['planned', 'signed', 'sent', 'confirmed', 'finalized']
    expect(stage.world.moves).toEqual(states.map((state) => `e1-1 ${state}`))
  })

  it('writes the memo of each batch where the treasury can find it again', async () => {
    const engine = stage.world.engine()
    await engine.settleNow()
    await drive(engine, 2)
    const history = stage.lab.call('getSignaturesForAddress', stage.world.treasury.address, {
      commitment: 'confirmed',
      limit: 1,
    })
    expect(history.result).toMatchObject([{ memo: '[12] bramble:e1-1' }])
  })

  it('names in the memo what the ledger has committed to', async () => {
    const { db } = stage.world.store
    await openEpoch(db, 1)
    const head = 'ab'.repeat(32)
    await db.updateTable('epochs').set({ closed_at: 2, root: head, head, leaves: 1 }).where('id', '=', 1).execute()
    const engine = stage.world.engine()
    await engine.settleNow()
    const memo = `bramble:e2-1:${Buffer.from(head, 'hex').toString('base64url')}`
    expect(await batches()).toMatchObject([{ memo }])
    await drive(engine, 2)
    const history = stage.lab.call('getSignaturesForAddress', stage.world.treasury.address, {
      commitment: 'confirmed',
      limit: 1,
    })
    expect(history.result).toMatchObject([{ memo: `[${memo.length}] ${memo}` }])
  })

  it('a second time plans nothing, and later earnings get a payout of their own', async () => {
    const engine = stage.world.engine()
    await engine.settleNow()
    expect((await engine.settleNow()).planned).toEqual([])
    await stage.world.credit('owner1', 10n)
    expect((await engine.settleNow()).planned).toEqual(['e1-2'])
    await drive(engine, 20)
    expect(await stage.world.held(stage.world.owners[0]!.wallet)).toBe(1_500_010n)
  })

  it('closes the epoch: receipts out of the hold are paid, those in it are not', async () => {
    const { db } = stage.world.store
    const now = stage.lab.clock.now()
    await db
      .insertInto('devices')
      .values({ id: 'd1', name: 'd', owner_id: 'owner1', public_key: 'k', enrolled_at: 0 } as never)
      .execute()
    await openEpoch(db, now)
    for (const [idx, releaseAt] of [now - 1, now + 60_000].entries()) {
      const base = {
        device_id: 'd1',
        chain: 'c',
        seq: 1,
        idx,
        task_id: `t${idx}`,
        at: now,
        infer_ms: 1,
        received_at: now,
      }
      const digests = { model_digest: 'm', input_sha256: 'i', output_digest: 'o' }
      await db
        .insertInto('receipts')
        .values({
          ...base,
          ...digests,
          state: 'credited',
          amount_units: 40n,
          owner_id: 'owner1',
          release_at: releaseAt,
        } as never)
        .execute()
    }
    const [from, to] = [accounts.outside, accounts.pending('owner1')]
    await db.transaction().execute((trx) => post(trx, [{ kind: 'earn', ref: 't', from, to, amount: 80n, at: now }]))
    const engine = stage.world.engine()
    await engine.settleNow()
    expect(await batches()).toMatchObject([{ id: 'e1-1', epoch_id: 1 }])
    expect((await lines())[0]).toMatchObject({ id: 'e1-1/1', payee: 'owner1', amount_units: 1_500_040n })
    expect(await balanceOf(db, accounts.pending('owner1'))).toBe(40n)
    await drive(engine, 20)
  })
})

const nameWallet = (payee: string, address: string) =>
  stage.world.store.db.insertInto('wallets').values({ payee, address, since: 0, proof: 'operator' }).execute()
const programAddress = PublicKey.findProgramAddressSync([Buffer.from('x')], PublicKey.default)[0].toBase58()

describe('money that stays payable has its reason', () => {
  it.each([
    ['no wallet', undefined, /no payout wallet/],
    ['an address nobody can sign for', programAddress, /cannot be paid/],
    ['a text that is no address', 'hello', /32 bytes/],
  ])('%s', async (_name, wallet, why) => {
    await stage.world.store.db.deleteFrom('wallets').where('payee', '=', 'owner1').execute()
    if (wallet !== undefined) await nameWallet('owner1', wallet)
    const engine = stage.world.engine()
    const { payouts, held } = await engine.settleNow()
    expect(payouts).toBe(1)
    expect(held).toMatchObject([{ payee: 'owner1', units: 1_500_000n, held: expect.stringMatching(why) }])
    expect(await engine.payable()).toMatchObject([{ payee: 'owner1', held: expect.stringMatching(why) }])
    expect((await stage.world.ledger())[0]).toMatchObject({ payable: 1_500_000n, inPayout: 0n })
    await drive(engine, 20)
  })

  it('less than the minimum', async () => {
    const engine = stage.world.engine(undefined, 'console-1', { minimumUnits: 1_000n })
    expect((await engine.settleNow()).held).toMatchObject([
      { payee: 'owner2', held: 'below the minimum payout: 2 of 1000 base units' },
    ])
    await drive(engine, 20)
  })
})

describe('a treasury that runs dry', () => {
  it.each([
    ['tokens', { tokenUnits: 1_500_001n }, /holds 1500001 base units.*needs 1500002; send tokens to/],
    ['SOL', { lamports: 900_000n }, /holds 900000 lamports.*send SOL to/],
  ])('of %s stops before anything fails, says so, and goes on when filled', async (_name, lack, sentence) => {
    const real = stage.world.chain()
    let dry = true
    const engine = engineWith({
      funds: async (wallets) => ({ ...(await real.funds(wallets)), ...(dry && lack) }),
    })
    await engine.settleNow()
    await drive(engine, 3)
    expect(engine.standing()).toMatchObject({ open: 1, trouble: expect.stringMatching(sentence) })
    expect(await attempts()).toEqual([])
    dry = false
    await drive(engine, 20)
    expect(engine.standing()).toEqual({ open: 0, trouble: undefined })
    expect((await batches()).every(({ state }) => state === 'finalized')).toBe(true)
  })
})

describe('a transaction that fails on the chain', () => {
  it('gives the money back to be paid again, once that is final', async () => {
    const real = stage.world.chain()
    // A signer that names more than the treasury has; sent without the preflight that would have caught it.
    const engine = engineWith({
      sign: (payment, ...how) =>
        real.sign({ ...payment, lines: payment.lines.map((line) => ({ ...line, units: 10n ** 18n })) }, ...how),
      async send(wire) {
        stage.lab.call('sendTransaction', Buffer.from(wire).toString('base64'), {
          encoding: 'base64',
          skipPreflight: true,
        })
      },
    })
    await engine.settleNow()
    await drive(engine, 8)
    expect((await batches())[0]?.state).toBe('sent')
    await drive(engine, 10)
    expect((await batches())[0]).toMatchObject({ state: 'failed', failure: expect.stringContaining('"Custom":1') })
    expect((await stage.world.ledger())[0]).toMatchObject({ payable: 1_500_000n, inPayout: 0n, paid: 0n })
    const honest = stage.world.engine()
    // Each by itself: whoever was at fault holds up nobody else.
    expect((await honest.settleNow()).planned).toEqual(['e1-2', 'e1-3'])
    await drive(honest, 20)
    expect(await stage.world.held(stage.world.owners[0]!.wallet)).toBe(1_500_000n)
  })
})

describe('the order of things', () => {
  it('commits the signed bytes before the first send, and sends only those', async () => {
    const sends: Uint8Array[] = []
    const engine = engineWith({
      async send(wire) {
        const known = (await attempts()).map((attempt) => Buffer.from(attempt.wire).toString('hex'))
        expect(known).toContain(Buffer.from(wire).toString('hex'))
        sends.push(wire)
      },
    })
    await engine.settleNow()
    await drive(engine, 10)
    // Every two seconds, the same transaction.
    expect(sends.length).toBeGreaterThanOrEqual(5)
    expect(new Set(sends.map((wire) => Buffer.from(wire).toString('hex'))).size).toBe(1)
    expect(await attempts()).toHaveLength(1)
  })

  it('asks for statuses only after the finalized height', async () => {
    const real = stage.world.chain()
    const asked: string[] = []
    const engine = engineWith({
      finalized: () => {
        asked.push('height')
        return real.finalized()
      },
      statuses: (signatures) => {
        asked.push('statuses')
        return real.statuses(signatures)
      },
    })
    await engine.settleNow()
    await drive(engine, 3)
    // The comparison at the start and the first signature need the height alone.
    expect(asked.join(' ')).toMatch(/^height height (height statuses ?)+$/)
    await drive(engine, 20)
  })

  it('signs again only after expiry, with another blockhash and the same memo', async () => {
    const real = stage.world.chain()
    let closed = true
    const engine = engineWith({
      send: (wire) => (closed ? Promise.reject(new ChainError('unreachable', 'down')) : real.send(wire)),
    })
    await engine.settleNow()
    // 150 blocks to expiry, 32 to finality: nothing new before 73 s.
    await drive(engine, 70)
    expect(await attempts()).toHaveLength(1)
    closed = false
    stage.lab.clock.advance(10_000)
    await drive(engine, 30)
    const mine = await attempts()
    expect(mine).toHaveLength(2)
    expect(mine[0]?.blockhash).not.toBe(mine[1]?.blockhash)
    expect(await stage.world.held(stage.world.owners[0]!.wallet)).toBe(1_500_000n)
  })
})

describe('two consoles on one database', () => {
  it('have one writer; the other takes over when its lease has run out', async () => {
    const [first, second] = [stage.world.engine(undefined, 'console-1'), stage.world.engine(undefined, 'console-2')]
    await first.settleNow()
    const before = stage.world.moves.length
    stage.lab.clock.advance(5_000)
    await second.turn()
    expect(stage.world.moves).toHaveLength(before)
    stage.lab.clock.advance(30_000)
    await second.turn()
    expect(stage.world.moves.slice(before)).toEqual(['e1-1 finalized'])
  })

  it('a writer that lost its lease while it looked does not sign', async () => {
    const real = stage.world.chain()
    const slow = engineWith({
      lifetime: async () => {
        stage.lab.clock.advance(40_000)
        return real.lifetime()
      },
    })
    await slow.settleNow()
    expect(await attempts()).toEqual([])
    const other = stage.world.engine(undefined, 'console-2')
    await drive(other, 20)
    expect(await stage.world.held(stage.world.owners[0]!.wallet)).toBe(1_500_000n)
  })
})

it('gets on batch by batch over an RPC that loses many calls', async () => {
  const many = await createWorld({ lab: stage.lab, token: stage.token, amounts: Array.from({ length: 64 }, () => 3n) })
  let calls = 0
  many.network = {
    ...many.network,
    wire: async (method, _body, forward) => {
      // Nine batches are tried out; never do so many calls succeed one after another.
      if (method === 'simulateTransaction' && ++calls % 5 === 0) throw new TypeError('fetch failed')
      return forward()
    },
  }
  const engine = many.engine()
  await engine.settleNow()
  expect(engine.standing().trouble).toMatch(/^payouts wait: no answer from the RPC to simulateTransaction/)
  await drive(engine, 30)
  expect(await many.openBatches()).toBe(0)
  for (const { wallet } of many.owners) expect(await many.held(wallet)).toBe(3n)
  await many.close()
})

it('takes many payouts in that a backup does not know, over an RPC that loses many calls', async () => {
  const many = await createWorld({ lab: stage.lab, token: stage.token, amounts: Array.from({ length: 64 }, () => 3n) })
  const file = await many.backup()
  await many.engine().settleNow()
  await drive(many.engine(), 20)
  await many.restore(file)
  let calls = 0
  many.network = {
    ...many.network,
    wire: async (method, _body, forward) => {
      // Eight are to be read, one after another.
      if (method === 'getTransaction' && ++calls % 3 === 0) throw new TypeError('fetch failed')
      return forward()
    },
  }
  const restored = many.engine()
  await restored.settleNow()
  await drive(restored, 20)
  expect(await many.openBatches()).toBe(0)
  for (const { wallet, owed, paid } of await many.ledger())
    expect([paid, await many.held(wallet)]).toEqual([owed, owed])
  await many.close()
})

describe('the loop', () => {
  it('turns until it is told to stop, backs off while nobody answers, and gives its lease back', async () => {
    const stop = new AbortController()
    const waits: number[] = []
    const engine = createPayouts({
      db: stage.world.store.db,
      chain: { ...stage.world.chain(), funds: () => Promise.reject(new ChainError('unreachable', 'no answer')) },
      holder: 'console-1',
      now: stage.lab.clock.now,
      log: silent,
      moved: () => undefined,
      settings: SETTINGS,
      sleep: async (ms) => {
        waits.push(ms)
        if (waits.length === 7) stop.abort()
      },
    })
    await engine.settleNow()
    await engine.run(stop.signal)
    expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    expect(engine.standing().trouble).toBe('payouts wait: no answer')
    expect(await stage.world.store.db.selectFrom('writer_leases').selectAll().execute()).toEqual([])
  })
})

it('keeps the wallet a payout was planned for, whatever the owner names later', async () => {
  const engine = engineWith({ send: async () => undefined })
  await engine.settleNow()
  const address = Keypair.generate().publicKey.toBase58()
  await stage.world.store.db.updateTable('wallets').set({ address }).where('payee', '=', 'owner1').execute()
  expect((await lines())[0]?.wallet).toBe(stage.world.owners[0]!.wallet)
})
