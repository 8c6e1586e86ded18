// Payouts through lookup tables on a real chain: who is paid, what is saved, and everything that may happen to a table on the
// way. Whatever it is, everybody is paid, once, and what was meant.
import { AddressLookupTableProgram, Keypair, PublicKey, SystemProgram } from '@solana/web3.js'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { readAnchor } from '../../console/settlement/anchor.ts'
import { encodeBase58 } from '../../console/settlement/base58.ts'
import { collectAndReconcile } from '../../console/settlement/collect.ts'
import { parseTransaction } from '../../console/settlement/local-chain/message.ts'
import { MAX_TRANSACTION_BYTES } from '../../console/settlement/payer.ts'
import type { Payouts } from '../../console/settlement/payouts.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { associatedAddress } from '../../console/settlement/solana-connection.ts'
import { transferChecked } from '../../console/settlement/spl.ts'
import { differenceOf } from '../../console/settlement/tables/told.ts'
import { createLab, type Lab, type Wire } from './lab.ts'
import { createWorld, NO_TABLES, type World } from './payout-world.ts'
import { tablesOnChain } from './table-trouble.ts'

let lab: Lab
let token: Token
let world: World
beforeAll(async () => {
  lab = await createLab()
  token = await lab.makeToken()
})
afterAll(() => lab.close())
afterEach(() => world.close())

type Options = Partial<Parameters<typeof createWorld>[0]>
/** More than one transaction holds even through a table. */
const OWNERS = 50

const drive = async (engine: Payouts, turns: number): Promise<void> => {
  for (let turn = 0; turn < turns; turn++) {
    lab.clock.advance(1_000)
    await engine.turn()
    await engine.tend()
  }
}
const rows = () => world.store.db.selectFrom('lookup_tables').selectAll().orderBy('id').execute()
const attemptsOf = (ids: readonly string[]) =>
  world.store.db.selectFrom('payout_attempts').selectAll().where('batch_id', 'in', ids).orderBy('batch_id').execute()
const versionsOf = async (ids: readonly string[]) =>
  (await attemptsOf(ids)).map(({ wire }) => parseTransaction(wire).version)
const payAgain = async (units: bigint): Promise<void> => {
  for (const { id } of world.owners) await world.credit(id, units)
}
const expectAllPaid = async (): Promise<void> => {
  expect(await world.openBatches()).toBe(0)
  for (const { wallet, owed, paid } of await world.ledger()) {
    expect(paid).toBe(owed)
    expect(await world.held(wallet)).toBe(owed)
  }
  expect(await collectAndReconcile(world.store.db, world.chain())).toMatchObject({ ok: true })
}

/** Everybody was paid, stands in a table, and has earned again. */
async function begin(options: Options = {}): Promise<Payouts> {
  const amounts = Array.from({ length: OWNERS }, (_, index) => BigInt(1_000 + index))
  world = await createWorld({ lab, token, amounts, ...options })
  const engine = world.engine()
  await engine.settleNow()
  await drive(engine, 20)
  await world.list()
  await drive(engine, 40)
  expect(await rows()).toMatchObject([{ state: 'growing', seen: OWNERS, sent: OWNERS }])
  await payAgain(7n)
  return engine
}
/** From now on the network is this. */
const through = (wire: Wire): void => {
  world.network = { ...world.network, wire }
}
const tableAddress = async (): Promise<string> => (await rows())[0]?.address ?? ''

describe('payouts through a lookup table', () => {
  it('need fewer transactions, pay everybody once, and are read back from the chain', async () => {
    const engine = await begin()
    const { planned, payouts } = await engine.settleNow()
    await drive(engine, 20)
    await expectAllPaid()
    expect([payouts, await versionsOf(planned)]).toEqual([OWNERS, [0, 'legacy']])
    const [first] = await attemptsOf(planned)
    expect(first?.wire.length).toBeLessThanOrEqual(MAX_TRANSACTION_BYTES)
    const lines = world.store.db
      .selectFrom('payouts')
      .select('wallet')
      .where('batch_id', '=', planned[0] ?? '')
    const wallets = (await lines.execute()).map(({ wallet }) => wallet)
    expect(wallets).toHaveLength(41)

    const anchor = readAnchor(first?.wire ?? new Uint8Array())
    expect([anchor?.signature, anchor?.signers]).toEqual([first?.signature, new Set([world.treasury.address])])
    expect(anchor?.memos).toEqual([expect.stringMatching(/^bramble:e\d+-\d+$/)])

    const told = await world.chain().transfer(first?.signature ?? '')
    expect(told).toMatchObject({ isOurs: true, memo: expect.stringMatching(/^bramble:/), wire: first?.wire })
    expect(told?.received.map(({ wallet }) => wallet).sort()).toEqual(wallets.toSorted())
    expect(told?.treasuryChange).toBe(-7n * 41n)

    const shown = await lab.solana.transaction(first?.signature ?? '')
    const paidTo = shown?.instructions.flatMap(({ name, accounts: named }) => (/Transfer/.test(name) ? [named[2]] : []))
    expect(paidTo?.toSorted()).toEqual(wallets.map((wallet) => associatedAddress(token.mint, wallet)).sort())
    expect(shown?.tables).toEqual([{ address: await tableAddress(), accounts: 41 }])
  })

  it('are adopted by a database from a backup, which gives up the table that it does not know', async () => {
    const amounts = Array.from({ length: OWNERS }, () => 1_000n)
    world = await createWorld({ lab, token, amounts })
    const first = world.engine()
    await first.settleNow()
    await drive(first, 20)
    const file = await world.backup()
    await world.list()
    await drive(first, 40)
    await payAgain(7n)
    const { planned } = await first.settleNow()
    await drive(first, 20)
    expect(await versionsOf(planned)).toEqual([0, 'legacy'])
    const address = await tableAddress()

    await world.restore(file)
    expect(await rows()).toEqual([])
    // Payouts do not wait for what the chain does not tell of tables; the next start asks again.
    const { network } = world
    through(async (_method, body, forward) => {
      if (body.includes(address)) throw new TypeError('fetch failed')
      return forward()
    })
    const deaf = world.engine()
    await deaf.settleNow()
    await drive(deaf, 20)
    await expectAllPaid()
    expect(await rows()).toEqual([])
    world.network = network
    const second = world.engine()
    await second.settleNow()
    await drive(second, 20)
    await expectAllPaid()
    expect(await rows()).toMatchObject([{ state: 'leaving', address, why: 'this database did not know it' }])
    const before = await lab.solana.lamports(world.treasury.address)
    await drive(second, 400)
    expect(tablesOnChain(lab, world)).toEqual([])
    const back = (await lab.solana.lamports(world.treasury.address)) - before
    expect(back).toBe(BigInt(lab.chain.rentExempt(56 + 32 * OWNERS)) - 5_000n)
    lab.clock.advance(86_400_000)
    await second.turn()
    await second.tidy()
    expect(await rows()).toMatchObject([{ state: 'closed' }])
  })

  it('go on as before when the table is switched off, and its rent comes back', async () => {
    await begin()
    const plain = world.engine(undefined, 'console-1', NO_TABLES)
    const { planned } = await plain.settleNow()
    await drive(plain, 500)
    expect(new Set(await versionsOf(planned))).toEqual(new Set(['legacy']))
    await expectAllPaid()
    expect(tablesOnChain(lab, world)).toEqual([])
  })
})

describe('what the chain says of a table', () => {
  it('counts once it is final, and an account only when it was listed in a slot before', async () => {
    await begin()
    const payer = world.chain()
    const address = await tableAddress()
    const seen = async () => (await payer.tables([address])).found.get(address)
    expect(await seen()).toMatchObject({ isOurs: true, usable: OWNERS, deactivatedAt: undefined })
    const order = { do: 'extend', address, accounts: [newWallet(), newWallet()] } as const
    await payer.send(payer.signTable(order, await payer.lifetime()).wire)
    expect(await seen()).toMatchObject({ usable: OWNERS, addresses: { length: OWNERS + 2 } })
    lab.clock.advance(20_000)
    expect(await seen()).toMatchObject({ usable: OWNERS + 2 })
    const { isOurs, addresses } = (await lab.solana.payer(token).tables([address])).found.get(address)!
    expect([isOurs, addresses.length]).toEqual([false, OWNERS + 2])
    expect((await payer.tables([token.mint])).found.get(token.mint)).toMatchObject({ isOurs: false, usable: 0 })
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
    const { db } = world.store
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
    const engine = world.engine()
    const { planned } = await engine.settleNow()
    await drive(engine, 20)
    expect(new Set(await versionsOf(planned))).toEqual(new Set(['legacy']))
    await expectAllPaid()
  })

  it('is not paid through when somebody else lists accounts in it', async () => {
    const engine = await begin()
    const key = Keypair.fromSecretKey(world.treasury.secretKey)
    const at = { lookupTable: new PublicKey(await tableAddress()), authority: key.publicKey, payer: key.publicKey }
    lab.submit([AddressLookupTableProgram.extendLookupTable({ ...at, addresses: [at.authority] })], [key])
    const { planned } = await engine.settleNow()
    await drive(engine, 20)
    expect(new Set(await versionsOf(planned))).toEqual(new Set(['legacy']))
    await expectAllPaid()
  })
})

describe('a batch that was planned through a table', () => {
  const deactivate = async (): Promise<void> => {
    const key = Keypair.fromSecretKey(world.treasury.secretKey)
    const at = { lookupTable: new PublicKey(await tableAddress()), authority: key.publicKey }
    lab.submit([AddressLookupTableProgram.deactivateLookupTable(at)], [key])
  }
  const states = async () =>
    (await world.store.db.selectFrom('payout_batches').select(['state', 'failure']).execute()).filter(
      ({ state }) => state === 'failed',
    )

  it('is planned anew without it, at once, when the table goes before it is signed', async () => {
    await begin()
    let isDeaf = true
    through(async (method, _body, forward) => {
      if (method === 'simulateTransaction' && isDeaf) throw new TypeError('fetch failed')
      return forward()
    })
    const engine = world.engine()
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
    const engine = world.engine()
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
    const engine = world.engine()
    await engine.settleNow()
    await drive(engine, 25)
    await expectAllPaid()
  })
})

const isV0 = (text: string): boolean => {
  const wire = Buffer.from(text, 'base64')
  return ((wire[1 + 64 * (wire[0] ?? 0)] ?? 0) & 0x80) !== 0
}

describe('the bytes of a transaction through a table', () => {
  it('are refused before they are signed when any index names another account', async () => {
    const engine = await begin()
    const { planned } = await engine.settleNow()
    await drive(engine, 20)
    const [{ wire } = { wire: new Uint8Array() }] = await attemptsOf(planned)
    const chain = world.chain()
    const address = await tableAddress()
    const { found } = await chain.tables([address])
    const tables = [{ address, addresses: found.get(address)?.addresses ?? [] }]
    const lines = await world.store.db
      .selectFrom('payouts')
      .selectAll()
      .where('batch_id', '=', planned[0] ?? '')
      .execute()
    const said = parseTransaction(wire)
    const [{ writable } = { writable: [] as readonly number[] }] = said.lookups
    // What it says of itself, with every account by its address, is what is meant.
    const keys = [...said.keys, ...writable.map((index) => tables[0]?.addresses[index] ?? '')]
    const { required, readonlyUnsigned } = said.header
    const isWritable = (index: number) => index < said.keys.length - readonlyUnsigned || index >= said.keys.length
    const instructions = said.instructions.map(({ programIdIndex, accounts: named, data }) => ({
      program: keys[programIdIndex] ?? '',
      accounts: named.map((index) => ({
        address: keys[index] ?? '',
        signer: index < required,
        writable: isWritable(index),
      })),
      data,
    }))
    const meant = { instructions, feePayer: chain.feePayer, tables }
    expect(differenceOf(wire, meant)).toBeUndefined()
    expect(lines).toHaveLength(writable.length)

    // The last list but one in the message: the indexes of what is written.
    const at = wire.length - 1 - writable.length
    expect([...wire.subarray(at, at + writable.length)]).toEqual(writable)
    const change = fc.record({
      place: fc.nat(writable.length - 1),
      index: fc.nat(255),
    })
    fc.assert(
      fc.property(change, ({ place, index }) => {
        if (writable[place] === index) return
        const bent = Uint8Array.from(wire)
        bent[at + place] = index
        expect(differenceOf(bent, meant)).toMatch(/names|is for/)
      }),
    )
    const [a, b] = tables[0]!.addresses
    const swapped = [{ address, addresses: [b!, a!, ...tables[0]!.addresses.slice(2)] }]
    expect(differenceOf(wire, { ...meant, tables: swapped })).toMatch(/is for/)
    expect(differenceOf(wire, { ...meant, tables: [] })).toMatch(/nobody|names/)
    expect(differenceOf(wire, { ...meant, instructions: instructions.slice(1) })).toBeDefined()
    const [move, ...rest] = instructions.toReversed().slice(1)
    const more = transferChecked({ ...named(move!), units: 8n })
    expect(differenceOf(wire, { ...meant, instructions: [...rest.toReversed(), more, instructions.at(-1)!] })).toMatch(
      /is another/,
    )
  })

  const named = ({ accounts: list }: { accounts: readonly { address: string }[] }) => ({
    from: list[0]!.address,
    mint: list[1]!.address,
    to: list[2]!.address,
    authority: list[3]!.address,
    decimals: token.decimals,
  })

  it('are as many as was said, through one table, two, or none', async () => {
    await begin()
    const chain = world.chain()
    const life = await chain.lifetime()
    const wallets = [...world.owners.map(({ wallet }) => wallet), ...Array.from({ length: 6 }, newWallet)]
    const table = (from: number, to: number) => ({
      address: newWallet(),
      addresses: wallets.slice(from, to).map(chain.accountOf),
    })
    const some = fc.record({
      lines: fc.array(fc.record({ wallet: fc.constantFrom(...wallets), units: fc.bigInt(1n, 2n ** 60n) }), {
        minLength: 1,
        maxLength: 38,
      }),
      without: fc.subarray(wallets.slice(30, 34)).map((list) => new Set(list)),
      through: fc.constantFrom([table(0, 40)], [table(0, 20), table(20, 40)], [table(0, 5)], []),
    })
    fc.assert(
      fc.property(some, ({ lines, without, through }) => {
        const payment = { id: 'e1-1', memo: 'bramble:e1-1', marker: chain.markerOf('e1-1'), lines }
        const size = chain.sizeOf(payment, without, through)
        if (size <= MAX_TRANSACTION_BYTES) expect(chain.sign(payment, without, life, through).wire.length).toBe(size)
        else expect(() => chain.sign(payment, without, life, through)).toThrow()
      }),
      { numRuns: 60 },
    )
  })
})

const newWallet = (): string => encodeBase58(Keypair.generate().publicKey.toBytes())

describe('a table of its own accord', () => {
  it('is made once the wallets have been paid often enough, and used the next time', async () => {
    const amounts = Array.from({ length: OWNERS }, () => 1_000n)
    // Rent for nothing: fees alone decide, and these are earned after a few settlements.
    world = await createWorld({ lab, token, amounts, settings: { tables: { periodMs: 10 ** 12, yieldPerYear: 0 } } })
    const engine = world.engine()
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
    const { db } = world.store
    const { lamports } = await world.chain().funds([])
    const key = Keypair.fromSecretKey(world.treasury.secretKey)
    const toPubkey = Keypair.generate().publicKey
    lab.submit(
      [SystemProgram.transfer({ fromPubkey: key.publicKey, toPubkey, lamports: lamports - 101_000_000n })],
      [key],
    )
    await db
      .insertInto('lookup_tables')
      .values({ ...EMPTY, created_at: lab.clock.now(), updated_at: lab.clock.now() })
      .execute()
    const account = newWallet()
    await db.insertInto('lookup_accounts').values({ table_id: 2, idx: 0, wallet: account, account }).execute()
    await drive(poor, 5)
    expect(tablesOnChain(lab, world)).toHaveLength(1)
    expect((await rows())[1]).toMatchObject({ address: null })
    await lab.solana.airdrop(world.treasury.address, 10_000_000_000)
    await drive(poor, 5)
    expect(tablesOnChain(lab, world)).toHaveLength(2)
  })
})

const EMPTY = { address: null, state: 'growing', seen: 0, sent: 0, sent_until: 0, why: null } as const
