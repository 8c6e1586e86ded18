// Our hand-made SPL instructions against the genuine builders, and the treasury's set-up against the genuine programs.

import { join } from 'node:path'
import { address, generateKeyPairSigner } from '@solana/kit'
import { Keypair, PublicKey, SystemProgram } from '@solana/web3.js'
import {
  getCreateAssociatedTokenIdempotentInstruction,
  getInitializeMint2Instruction,
  getMintToCheckedInstruction,
  getTransferCheckedInstruction,
} from '@solana-program/token'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeBase58 } from '../../console/settlement/base58.ts'
import { assertChain, explorerUrl } from '../../console/settlement/cluster.ts'
import { readOrCreateKeyFile } from '../../console/settlement/keys.ts'
import { markerAddress, markerSeed } from '../../console/settlement/marker.ts'
import { batchOfMemo, memoOf, memosIn } from '../../console/settlement/memo.ts'
import { createSolana, walletFault } from '../../console/settlement/solana.ts'
import * as spl from '../../console/settlement/spl.ts'
import { openTreasury } from '../../console/settlement/treasury.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'
import { createLab, type Lab } from './lab.ts'

const name = () => Keypair.generate().publicKey.toBase58()

interface Genuine {
  readonly programAddress: string
  readonly accounts: readonly { readonly address: string; readonly role: number }[]
  readonly data: ArrayLike<number>
}
const plain = ({ programAddress, accounts, data }: Genuine) => ({
  program: programAddress,
  // AccountRole: bit 0 writable, bit 1 signer.
  accounts: accounts.map(({ address, role }) => ({ address, writable: (role & 1) !== 0, signer: (role & 2) !== 0 })),
  data: [...Array.from(data)],
})
const ours = ({ program, accounts, data }: spl.Instruction) => ({ program, accounts: [...accounts], data: [...data] })

describe('an instruction encoded by hand is the genuine one', () => {
  it('byte for byte and account for account', async () => {
    const authority = await generateKeyPairSigner()
    const [mint, from, to] = [name(), name(), name()]
    const common = { mint, authority: authority.address, units: 2n ** 53n + 1n, decimals: 6 }
    expect(ours(spl.transferChecked({ ...common, from, to }))).toEqual(
      plain(
        getTransferCheckedInstruction({
          source: address(from),
          mint: address(mint),
          destination: address(to),
          authority,
          amount: common.units,
          decimals: 6,
        }),
      ),
    )
    expect(ours(spl.mintToChecked({ ...common, to }))).toEqual(
      plain(
        getMintToCheckedInstruction({
          mint: address(mint),
          token: address(to),
          mintAuthority: authority,
          amount: common.units,
          decimals: 6,
        }),
      ),
    )
    expect(ours(spl.initializeMint2(mint, 6, decodeBase58(authority.address) ?? new Uint8Array()))).toEqual(
      plain(getInitializeMint2Instruction({ mint: address(mint), decimals: 6, mintAuthority: authority.address })),
    )
    expect(ours(spl.createAssociatedIdempotent({ payer: authority.address, account: to, owner: from, mint }))).toEqual(
      plain(
        getCreateAssociatedTokenIdempotentInstruction({
          payer: authority,
          ata: address(to),
          owner: address(from),
          mint: address(mint),
        }),
      ),
    )
  })

  it('refuses amounts that are none', () => {
    const some = { from: name(), mint: name(), to: name(), authority: name(), decimals: 6 }
    expect(() => spl.transferChecked({ ...some, units: 0n })).toThrow(RangeError)
    expect(() => spl.transferChecked({ ...some, units: 2n ** 64n })).toThrow(RangeError)
  })
})

describe('the marker of a batch', () => {
  it('lies where the System program says, for every base and seed', async () => {
    for (const seed of ['', 'e1-1', 'x'.repeat(32)]) {
      const base = Keypair.generate().publicKey
      const there = await PublicKey.createWithSeed(base, seed, SystemProgram.programId)
      expect(markerAddress(base.toBase58(), seed)).toBe(there.toBase58())
    }
    expect(() => markerAddress('no address', 'x')).toThrow(RangeError)
  })

  it('follows from key and batch id alone, and from both', () => {
    const [one, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    expect(markerSeed(one, 'e1-1')).toBe(markerSeed(one, 'e1-1'))
    expect(markerSeed(one, 'e1-1')).toMatch(/^[\w-]{12}$/)
    expect(new Set([markerSeed(one, 'e1-1'), markerSeed(other, 'e1-1'), markerSeed(one, 'e1-2')]).size).toBe(3)
  })
})

describe('the memo of a batch', () => {
  const head = 'A'.repeat(43)

  it('is read back from what was written, with a head or without', () => {
    expect(memoOf('e1-1', undefined)).toBe('bramble:e1-1')
    expect(memoOf('e1-1', head)).toBe(`bramble:e1-1:${head}`)
    for (const memo of [memoOf('e12-3', undefined), memoOf('e12-3', head)]) expect(batchOfMemo(memo)).toBe('e12-3')
    // From before there were batches.
    expect(batchOfMemo('bramble:e1-owner1-1')).toBe('e1-owner1-1')
  })

  it.each(['bramble:', 'bramble', 'hello', 'bramble:e1-1:short', 'bramble:e1 1', `x bramble:e1-1`])(
    'is not %j',
    (memo) => {
      expect(batchOfMemo(memo)).toBeUndefined()
    },
  )

  it('is found among several of one transaction', () => {
    expect(memosIn('[5] hello; [12] bramble:e1-1')).toEqual(['hello', 'bramble:e1-1'])
  })
})

describe('a payout wallet', () => {
  it('is any address a key can sign for', () => {
    expect(walletFault(name())).toBeUndefined()
  })

  it.each([
    [
      'a program address',
      PublicKey.findProgramAddressSync([Buffer.from('x')], PublicKey.default)[0].toBase58(),
      /no key/,
    ],
    ['a short text', 'abc', /32 bytes/],
    ['33 bytes', `${'1'.repeat(33)}`, /32 bytes/],
    ['characters outside base58', '0OIl'.repeat(11), /32 bytes/],
    ['nothing', '', /32 bytes/],
  ])('is not %s', (_name, wallet, why) => {
    expect(walletFault(wallet)).toMatch(why)
  })
})

describe('the treasury', () => {
  let lab: Lab
  let store: Store
  beforeAll(async () => {
    lab = await createLab()
    store = await openDatabase(':memory:')
  })
  afterAll(async () => {
    await store.close()
    lab.close()
  })
  const open = (over: object = {}) =>
    openTreasury({ db: store.db, solana: lab.solana, cluster: 'local', keysFolder: join(lab.folder, 'keys'), ...over })

  it('of a local chain gets SOL, a mint and its supply once, however often it is opened', async () => {
    const token = await open()
    expect(await open()).toEqual(token)
    expect(await lab.solana.mint(token.mint)).toEqual({ decimals: 6, supply: 1_000_000_000_000n })
    expect(await lab.solana.tokenBalance(token.mint, lab.solana.treasury)).toBe(1_000_000_000_000n)
    expect(await lab.solana.lamports(lab.solana.treasury)).toBeGreaterThan(99_000_000_000n)
  })

  it('mints more when told', async () => {
    const token = await open()
    await lab.solana.mintTo(token, 5n)
    expect(await lab.solana.tokenBalance(token.mint, lab.solana.treasury)).toBe(1_000_000_000_005n)
  })

  it('refuses a chain that is not the configured cluster', async () => {
    await expect(open({ cluster: 'devnet', mint: name() })).rejects.toMatchObject({ code: 'wrong-chain' })
    await expect(open({ cluster: 'mainnet-beta', mint: name() })).rejects.toMatchObject({ code: 'wrong-chain' })
    const devnet = 'EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG'
    await expect(assertChain(store.db, 'local', devnet)).rejects.toMatchObject({ code: 'wrong-chain' })
  })

  it('refuses another chain than the one its database began with', async () => {
    await open()
    const other = await createLab()
    await expect(open({ solana: other.solana })).rejects.toMatchObject({
      code: 'wrong-chain',
      message: expect.stringContaining(other.chain.genesisHash),
    })
    other.close()
  })

  it('refuses another token than the one its database began with', async () => {
    const [first, other] = [await lab.makeToken(), await lab.makeToken()]
    const fresh = await openDatabase(':memory:')
    const genesisHash = async () => 'EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG'
    const started = (mint: string) =>
      open({ db: fresh.db, cluster: 'devnet', solana: { ...lab.solana, genesisHash }, mint })
    for (const _ of [1, 2]) expect(await started(first.mint)).toEqual(first)
    await expect(started(other.mint)).rejects.toMatchObject({
      code: 'bad-mint',
      message: expect.stringMatching(`tokens of the mint ${first.mint}, but the mint of this start is ${other.mint}`),
    })
    await fresh.close()
  })

  it('refuses a local chain whose mint key is another, and mints nothing', async () => {
    const [keysFolder, { mint }] = [join(lab.folder, 'other-keys'), await open()]
    await expect(open({ keysFolder })).rejects.toMatchObject({ message: expect.stringContaining(mint) })
    const { address } = await readOrCreateKeyFile(join(keysFolder, 'mint.json'))
    expect(await lab.solana.mint(address)).toBeUndefined()
  })

  it('says that nobody answers when nobody does', async () => {
    const dead = createSolana({
      rpcUrl: 'http://127.0.0.1:9',
      treasury: lab.treasury,
      sleep: async () => undefined,
    })
    await expect(dead.genesisHash()).rejects.toMatchObject({ code: 'unreachable' })
  })

  it('links transactions to the explorer of public clusters only', () => {
    expect(explorerUrl('local', 'abc')).toBeUndefined()
    expect(explorerUrl('devnet', 'abc')).toBe('https://explorer.solana.com/tx/abc?cluster=devnet')
    expect(explorerUrl('mainnet-beta', 'abc')).toBe('https://explorer.solana.com/tx/abc')
  })

  it('tells the finalized height 32 blocks behind the newest, never ahead', async () => {
    lab.clock.advance(400 * 100)
    const { height, slot } = await lab.solana.payer({ mint: name(), decimals: 6 }).finalized()
    expect(lab.chain.clock.slot() - slot).toBe(32)
    expect(height).toBe(slot)
  })
})
