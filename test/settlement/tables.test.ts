// Payouts through lookup tables on a real chain: who is paid, what is saved, and everything that may happen to a table on the
// way. Whatever it is, everybody is paid, once, and what was meant.
import { AddressLookupTableProgram, Keypair, PublicKey, SystemProgram } from '@solana/web3.js'
import { describe, expect, it } from 'vitest'
import { readAnchor } from '../../console/settlement/anchor.ts'
import { parseTransaction } from '../../console/settlement/local-chain/message.ts'
import { MAX_TRANSACTION_BYTES } from '../../console/settlement/payer.ts'
import { associatedAddress } from '../../console/settlement/solana-connection.ts'
import { NO_TABLES } from './payout-world.ts'
import { OWNERS, openTableStage } from './table-stage.ts'
import { tablesOnChain } from './table-trouble.ts'

const { stage, rows, drive, payAgain, attemptsOf, expectAllPaid, begin, through, tableAddress } = openTableStage()
const versionsOf = async (ids: readonly string[]) =>
  (await attemptsOf(ids)).map(({ wire }) => parseTransaction(wire).version)
const newWallet = (): string => Keypair.generate().publicKey.toBase58()

describe('payouts through a lookup table', () => {
  it('need fewer transactions, pay everybody once, and are read back from the chain', async () => {
    const engine = await begin()
    const { planned, payouts } = await engine.settleNow()
    await drive(engine, 20)
    await expectAllPaid()
    expect([payouts, await versionsOf(planned)]).toEqual([OWNERS, [0, 'legacy']])
    const [first] = await attemptsOf(planned)
    expect(first?.wire.length).toBeLessThanOrEqual(MAX_TRANSACTION_BYTES)
    const lines = stage.world.store.db
      .selectFrom('payouts')
      .select('wallet')
      .where('batch_id', '=', planned[0] ?? '')
    const wallets = (await lines.execute()).map(({ wallet }) => wallet)
    expect(wallets).toHaveLength(41)

    const anchor = readAnchor(first?.wire ?? new Uint8Array())
    expect([anchor?.signature, anchor?.signers]).toEqual([first?.signature, new Set([stage.world.treasury.address])])
    expect(anchor?.memos).toEqual([expect.stringMatching(/^bramble:e\d+-\d+$/)])

    const told = await stage.world.chain().transfer(first?.signature ?? '')
    expect(told).toMatchObject({ isOurs: true, memo: expect.stringMatching(/^bramble:/), wire: first?.wire })
    expect(told?.received.map(({ wallet }) => wallet).sort()).toEqual(wallets.toSorted())
    expect(told?.treasuryChange).toBe(-7n * 41n)

    const shown = await stage.lab.solana.transaction(first?.signature ?? '')
    const paidTo = shown?.instructions.flatMap(({ name, accounts: named }) => (/Transfer/.test(name) ? [named[2]] : []))
    expect(paidTo?.toSorted()).toEqual(wallets.map((wallet) => associatedAddress(stage.token.mint, wallet)).sort())
    expect(shown?.tables).toEqual([{ address: await tableAddress(), accounts: 41 }])
  })

  it('are adopted by a database from a backup, which gives up the table that it does not know', async () => {
    const amounts = Array.from({ length: OWNERS }, () => 1_000n)
    await stage.open({ amounts })
    const first = stage.world.engine()
    await first.settleNow()
    await drive(first, 20)
    const file = await stage.world.backup()
    await stage.world.list()
    await drive(first, 40)
    await payAgain(7n)
    const { planned } = await first.settleNow()
    await drive(first, 20)
    expect(await versionsOf(planned)).toEqual([0, 'legacy'])
    const address = await tableAddress()

    await stage.world.restore(file)
    expect(await rows()).toEqual([])
    // Payouts do not wait for what the chain does not tell of tables; the next start asks again.
    const { network } = stage.world
    through(async (_method, body, forward) => {
      if (body.includes(address)) throw new TypeError('fetch failed')
      return forward()
    })
    const deaf = stage.world.engine()
    await deaf.settleNow()
    await drive(deaf, 20)
    await expectAllPaid()
    expect(await rows()).toEqual([])
    stage.world.network = network
    const second = stage.world.engine()
    await second.settleNow()
    await drive(second, 20)
    await expectAllPaid()
    expect(await rows()).toMatchObject([{ state: 'leaving', address, why: 'this database did not know it' }])
    const before = await stage.lab.solana.lamports(stage.world.treasury.address)
    await drive(second, 400)
    expect(tablesOnChain(stage.lab, stage.world)).toEqual([])
    const back = (await stage.lab.solana.lamports(stage.world.treasury.address)) - before
    expect(back).toBe(BigInt(stage.lab.chain.rentExempt(56 + 32 * OWNERS)) - 5_000n)
    stage.lab.clock.advance(86_400_000)
    await second.turn()
    await second.tidy()
    expect(await rows()).toMatchObject([{ state: 'closed' }])
  })

  it('go on as before when the table is switched off, and its rent comes back', async () => {
    await begin()
    const plain = stage.world.engine(undefined, 'console-1', NO_TABLES)
    const { planned } = await plain.settleNow()
    await drive(plain, 500)
    expect(new Set(await versionsOf(planned))).toEqual(new Set(['legacy']))
    await expectAllPaid()
    expect(tablesOnChain(stage.lab, stage.world)).toEqual([])
  })
})

describe('what the chain says of a table', () => {
  it('counts once it is final, and an account only when it was listed in a slot before', async () => {
    await begin()
    const payer = stage.world.chain()
    const address = await tableAddress()
    const seen = async () => (await payer.tables([address])).found.get(address)
    expect(await seen()).toMatchObject({ isOurs: true, usable: OWNERS, deactivatedAt: undefined })
    const order = { do: 'extend', address, accounts: [newWallet(), newWallet()] } as const
    await payer.send(payer.signTable(order, await payer.lifetime()).wire)
    expect(await seen()).toMatchObject({ usable: OWNERS, addresses: { length: OWNERS + 2 } })
    stage.lab.clock.advance(20_000)
    expect(await seen()).toMatchObject({ usable: OWNERS + 2 })
    const { isOurs, addresses } = (await stage.lab.solana.payer(stage.token).tables([address])).found.get(address)!
    expect([isOurs, addresses.length]).toEqual([false, OWNERS + 2])
    expect((await payer.tables([stage.token.mint])).found.get(stage.token.mint)).toMatchObject({
      isOurs: false,
      usable: 0,
    })
  })

  it('is not asked of blocks that may be forked away', async () => {
    const engine = await begin()
    const address = await tableAddress()
    through(async (method, body, forward) => {
      const text = forward()
      if (method !== 'getMultipleAccounts' || !body.includes(address) || body.includes('finalized')) return text
      return JSON.stringify({ ...JSON.parse(text), result: { ...JSON.parse(text).result, value: [null] } })
    })
    const { planned } = await engine.settleNow()
    await drive(engine, 20)
    expect(await versionsOf(planned)).toEqual([0, 'legacy'])
    await expectAllPaid()
  })
})

describe('a table that lists something else than it should', () => {
  const swapRows = async (): Promise<void> => {
    const { db } = stage.world.store
    const [a, b] = await db.selectFrom('lookup_accounts').selectAll().orderBy('idx').limit(2).execute()
    await db.updateTable('lookup_accounts').set({ account: b!.account }).where('idx', '=', 0).execute()
    await db.updateTable('lookup_accounts').set({ account: a!.account }).where('idx', '=', 1).execute()
  }

  it('is not paid through when its rows were changed, and is given up', async () => {
    const engine = await begin()
    await swapRows()
    const { planned } = await engine.settleNow()
    await drive(engine, 20)
    expect(new Set(await versionsOf(planned))).toEqual(new Set(['legacy']))
    await expectAllPaid()
    await engine.tidy()
    expect(await rows()).toMatchObject([{ state: 'leaving', why: expect.stringMatching(/lists other accounts/) }])
  })

  it('is not paid through when the node shows accounts at other indexes than were written', async () => {
    await begin()
    const address = await tableAddress()
    through(async (method, body, forward) => {
      const text = forward()
      if (method !== 'getMultipleAccounts' || !body.includes(address)) return text
      const answer = JSON.parse(text)
      const data = Buffer.from(answer.result.value[0].data[0], 'base64')
      const [one, two] = [56, 88].map((at) => Buffer.from(data.subarray(at, at + 32)))
      answer.result.value[0].data[0] = Buffer.concat([data.subarray(0, 56), two!, one!, data.subarray(120)]).toString(
        'base64',
      )
      return JSON.stringify(answer)
    })
    const engine = stage.world.engine()
    const { planned } = await engine.settleNow()
    await drive(engine, 20)
    expect(new Set(await versionsOf(planned))).toEqual(new Set(['legacy']))
    await expectAllPaid()
  })

  it('is not paid through when somebody else lists accounts in it', async () => {
    const engine = await begin()
    const key = Keypair.fromSecretKey(stage.world.treasury.secretKey)
    const at = { lookupTable: new PublicKey(await tableAddress()), authority: key.publicKey, payer: key.publicKey }
    stage.lab.submit([AddressLookupTableProgram.extendLookupTable({ ...at, addresses: [at.authority] })], [key])
    const { planned } = await engine.settleNow()
    await drive(engine, 20)
    expect(new Set(await versionsOf(planned))).toEqual(new Set(['legacy']))
    await expectAllPaid()
  })
})

describe('a batch that was planned through a table', () => {
  const deactivate = async (): Promise<void> => {
    const key = Keypair.fromSecretKey(stage.world.treasury.secretKey)
    const at = { lookupTable: new PublicKey(await tableAddress()), authority: key.publicKey }
    stage.lab.submit([AddressLookupTableProgram.deactivateLookupTable(at)], [key])
  }
  const states = async () =>
    (await stage.world.store.db.selectFrom('payout_batches').select(['state', 'failure']).execute()).filter(
      ({ state }) => state === 'failed',
    )

  it('is planned anew without it, at once, when the table goes before it is signed', async () => {
    await begin()
    let isDeaf = true
    through(async (method, _body, forward) => {
      if (method === 'simulateTransaction' && isDeaf) throw new TypeError('fetch failed')
      return forward()
    })
    const engine = stage.world.engine()
    expect((await engine.settleNow()).planned).toHaveLength(2)
    await deactivate()
    isDeaf = false
    await drive(engine, 25)
    await expectAllPaid()
    expect(await states()).toEqual([{ state: 'failed', failure: expect.stringMatching(/lookup table went/) }])
  })

  it('is planned anew without it when the chain will not run version 0', async () => {
    await begin()
    through(async (method, body, forward) => {
      const isVersioned = method === 'simulateTransaction' && isV0(JSON.parse(body).params[0])
      if (!isVersioned) return forward()
      const error = { code: -32602, message: 'invalid transaction: Transaction loads an address table account' }
      return JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, error })
    })
    const engine = stage.world.engine()
    await engine.settleNow()
    await drive(engine, 25)
    await expectAllPaid()
    expect(await states()).toHaveLength(1)
  })

  it('is not held up by a node that answers everything but what is in the table', async () => {
    await begin()
    const address = await tableAddress()
    through(async (_method, body, forward) => {
      if (body.includes(address)) throw new TypeError('fetch failed')
      return forward()
    })
    const engine = stage.world.engine()
    await engine.settleNow()
    await drive(engine, 25)
    await expectAllPaid()
  })
})

const isV0 = (text: string): boolean => {
  const wire = Buffer.from(text, 'base64')
  return ((wire[1 + 64 * (wire[0] ?? 0)] ?? 0) & 0x80) !== 0
}
describe('a table of its own accord', () => {
  it('is made once the wallets have been paid often enough, and used the next time', async () => {
    const amounts = Array.from({ length: OWNERS }, () => 1_000n)
    // Rent for nothing: fees alone decide, and these are earned after a few settlements.
    await stage.open({ amounts, settings: { tables: { periodMs: 10 ** 12, yieldPerYear: 0 } } })
    const engine = stage.world.engine()
    const counts: number[] = []
    for (let settlement = 0; settlement < 7; settlement++) {
      const { planned } = await engine.settleNow()
      counts.push(planned.length)
      await drive(engine, 40)
      await payAgain(5n)
    }
    expect(counts).toMatchInlineSnapshot(`
      [
        7,
        4,
        4,
        2,
        2,
        2,
        2,
      ]
    `)
    await engine.settleNow()
    await drive(engine, 20)
    await expectAllPaid()
  })

  it('is not made with lamports that payouts may need', async () => {
    const poor = await begin()
    expect(poor).toBeDefined()
    const { db } = stage.world.store
    const { lamports } = await stage.world.chain().funds([])
    const key = Keypair.fromSecretKey(stage.world.treasury.secretKey)
    const toPubkey = Keypair.generate().publicKey
    stage.lab.submit(
      [SystemProgram.transfer({ fromPubkey: key.publicKey, toPubkey, lamports: lamports - 101_000_000n })],
      [key],
    )
    await db
      .insertInto('lookup_tables')
      .values({ ...EMPTY, created_at: stage.lab.clock.now(), updated_at: stage.lab.clock.now() })
      .execute()
    const account = newWallet()
    await db.insertInto('lookup_accounts').values({ table_id: 2, idx: 0, wallet: account, account }).execute()
    await drive(poor, 5)
    expect(tablesOnChain(stage.lab, stage.world)).toHaveLength(1)
    expect((await rows())[1]).toMatchObject({ address: null })
    await stage.lab.solana.airdrop(stage.world.treasury.address, 10_000_000_000)
    await drive(poor, 5)
    expect(tablesOnChain(stage.lab, stage.world)).toHaveLength(2)
  })
})

const EMPTY = { address: null, state: 'growing', seen: 0, sent: 0, sent_until: 0, why: null } as const
