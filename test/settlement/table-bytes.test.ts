// The bytes of a transaction through a lookup table: they pay whom they are said to pay, and are as many as was said.
import { Keypair } from '@solana/web3.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTransaction } from '../../console/settlement/local-chain/message.ts'
import { MAX_TRANSACTION_BYTES } from '../../console/settlement/payer.ts'
import { transferChecked } from '../../console/settlement/spl.ts'
import { differenceOf } from '../../console/settlement/tables/told.ts'
import { openTableStage } from './table-stage.ts'

const { stage, drive, attemptsOf, begin, tableAddress } = openTableStage()
const newWallet = (): string => Keypair.generate().publicKey.toBase58()

describe('the bytes of a transaction through a table', () => {
  it('are refused before they are signed when any index names another account', async () => {
    const engine = await begin()
    const { planned } = await engine.settleNow()
    await drive(engine, 20)
    const [{ wire } = { wire: new Uint8Array() }] = await attemptsOf(planned)
    const chain = stage.world.chain()
    const address = await tableAddress()
    const { found } = await chain.tables([address])
    const tables = [{ address, addresses: found.get(address)?.addresses ?? [] }]
    const lines = await stage.world.store.db
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
    decimals: stage.token.decimals,
  })

  it('are as many as was said, through one table, two, or none', async () => {
    await begin()
    const chain = stage.world.chain()
    const life = await chain.lifetime()
    const wallets = [...stage.world.owners.map(({ wallet }) => wallet), ...Array.from({ length: 6 }, newWallet)]
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
