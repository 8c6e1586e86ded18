// The local chain under a clock of our own: the blockhash window, commitments, refusals, and bytes meant to break it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AddressLookupTableAccount,
  Keypair,
  PublicKey,
  SystemProgram,
  Transaction,
  TransactionMessage,
  VersionedTransaction,
} from '@solana/web3.js'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openChain } from '../../console/settlement/local-chain/chain.ts'
import { createClock, createLab, type Lab, silent } from './lab.ts'

const SLOT_MS = 400

let lab: Lab
let payer: Keypair
beforeAll(async () => {
  lab = await createLab({ slotMs: SLOT_MS })
  payer = Keypair.generate()
  lab.call('requestAirdrop', payer.publicKey.toBase58(), 100_000_000_000)
})
afterAll(() => lab.close())

const slots = (count: number): void => lab.clock.advance(count * SLOT_MS)
const latest = (commitment = 'processed'): { blockhash: string; lastValidBlockHeight: number } =>
  (lab.call('getLatestBlockhash', { commitment }).result as { value: never }).value
const height = (commitment: string): number => lab.call('getBlockHeight', { commitment }).result as number
const transfer = (lamports: number, to = Keypair.generate().publicKey, life = latest()): Buffer => {
  const tx = new Transaction({ feePayer: payer.publicKey, ...life })
  tx.add(SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: to, lamports }))
  tx.sign(payer)
  return tx.serialize()
}
const send = (wire: Uint8Array, options: object = {}) =>
  lab.call('sendTransaction', Buffer.from(wire).toString('base64'), { encoding: 'base64', ...options })
const statusOf = (signature: unknown, options: object = { searchTransactionHistory: true }) =>
  (lab.call('getSignatureStatuses', [signature], options).result as { value: (Record<string, unknown> | null)[] })
    .value[0]
const balanceOf = (key: PublicKey): number => (lab.call('getBalance', key.toBase58()).result as { value: number }).value

describe('the blockhash window', () => {
  it('takes a transaction up to its last valid block height and not one block later', () => {
    const life = latest()
    const [early, late] = [transfer(1_000_000, undefined, life), transfer(2_000_000, undefined, life)]
    slots(150)
    expect(height('processed')).toBe(life.lastValidBlockHeight)
    expect(send(early).error).toBeUndefined()
    slots(1)
    expect(send(late).error).toMatchObject({
      code: -32002,
      message: 'Transaction simulation failed: Blockhash not found',
      data: { err: 'BlockhashNotFound', logs: [] },
    })
  })

  it('drops an expired transaction without a trace when the preflight is skipped', () => {
    const wire = transfer(1_000_000)
    slots(151)
    const { result } = send(wire, { skipPreflight: true })
    expect(statusOf(result)).toBeNull()
  })

  it('refuses the blockhash of another chain', () => {
    const foreign = { blockhash: Keypair.generate().publicKey.toBase58(), lastValidBlockHeight: 0 }
    expect(send(transfer(1_000_000, undefined, foreign)).error).toMatchObject({ data: { err: 'BlockhashNotFound' } })
    expect(lab.call('isBlockhashValid', foreign.blockhash).result).toMatchObject({ value: false })
  })

  it('never goes back in slots when the clock does', () => {
    slots(10)
    const before = height('processed')
    slots(-5)
    expect(height('processed')).toBe(before)
    slots(6)
    expect(height('processed')).toBe(before + 1)
  })
})

describe('sending again', () => {
  it('answers the same signature and moves the money once, even after the window', () => {
    const to = Keypair.generate().publicKey
    const wire = transfer(3_000_000, to)
    const { result } = send(wire)
    expect(send(wire).result).toBe(result)
    slots(400)
    expect(send(wire).result).toBe(result)
    expect(balanceOf(to)).toBe(3_000_000)
  })

  it('keeps two equal airdrops of one slot apart', () => {
    const to = Keypair.generate().publicKey
    const first = lab.call('requestAirdrop', to.toBase58(), 1_000_000).result
    expect(lab.call('requestAirdrop', to.toBase58(), 1_000_000).result).not.toBe(first)
    expect(balanceOf(to)).toBe(2_000_000)
  })
})

describe('commitment', () => {
  it('goes from processed over confirmed (1 slot) to finalized (32 slots)', () => {
    const { result } = send(transfer(1_000_000))
    expect(statusOf(result)).toMatchObject({ confirmationStatus: 'processed', confirmations: 0 })
    expect(lab.call('getTransaction', result, { commitment: 'confirmed' }).result).toBeNull()
    slots(1)
    expect(statusOf(result)).toMatchObject({ confirmationStatus: 'confirmed', confirmations: 1 })
    expect(lab.call('getTransaction', result, { commitment: 'confirmed' }).result).not.toBeNull()
    slots(30)
    expect(statusOf(result)).toMatchObject({ confirmationStatus: 'confirmed', confirmations: 31 })
    slots(1)
    expect(statusOf(result)).toMatchObject({ confirmationStatus: 'finalized', confirmations: null })
  })

  it('forgets statuses after the window unless the history is searched, as a node does', () => {
    const { result } = send(transfer(1_000_000))
    slots(151)
    expect(statusOf(result, {})).toBeNull()
    expect(statusOf(result)).toMatchObject({ confirmationStatus: 'finalized' })
  })

  it('insists on a context slot that was asked for', () => {
    const minContextSlot = height('processed') + 1
    expect(lab.call('getBalance', payer.publicKey.toBase58(), { minContextSlot }).error).toMatchObject({ code: -32016 })
  })
})

describe('a transaction that fails', () => {
  const overdraft = () => transfer(10 ** 15)

  it('is refused before it costs anything', () => {
    const before = balanceOf(payer.publicKey)
    expect(send(overdraft()).error).toMatchObject({
      code: -32002,
      message: 'Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1',
      data: { err: { InstructionError: [0, { Custom: 1 }] } },
    })
    expect(balanceOf(payer.publicKey)).toBe(before)
  })

  it('lands with its error and costs the fee when the preflight is skipped', () => {
    const before = balanceOf(payer.publicKey)
    const { result } = send(overdraft(), { skipPreflight: true })
    expect(statusOf(result)).toMatchObject({ err: { InstructionError: [0, { Custom: 1 }] } })
    expect(before - balanceOf(payer.publicKey)).toBe(5_000)
  })

  it('says so when the signature is wrong', () => {
    const wire = transfer(1_000_000)
    wire[10] = (wire[10] ?? 0) ^ 1
    expect(send(wire).error).toMatchObject({ code: -32003, message: 'Transaction signature verification failure' })
  })
})

describe('history', () => {
  it('pages backwards through the signatures of an address, with memos', () => {
    const to = Keypair.generate().publicKey.toBase58()
    const all = Array.from({ length: 5 }, () => lab.call('requestAirdrop', to, 1_000_000).result)
    slots(1)
    const page = (options: object) =>
      lab.call('getSignaturesForAddress', to, { commitment: 'confirmed', ...options }).result as {
        signature: string
        memo: string
      }[]
    expect(page({}).map(({ signature }) => signature)).toEqual(all.toReversed())
    expect(page({})[0]?.memo).toMatch(/^\[\d+\] airdrop /)
    expect(page({ limit: 2, before: all[3] }).map(({ signature }) => signature)).toEqual([all[2], all[1]])
    expect(page({ until: all[3] }).map(({ signature }) => signature)).toEqual([all[4]])
  })

  it('gives a transaction back as bytes, as JSON, and with its accounts named', () => {
    const wire = transfer(1_000_000)
    const { result } = send(wire)
    slots(1)
    const read = (encoding: string) =>
      (lab.call('getTransaction', result, { commitment: 'confirmed', encoding }).result as { transaction: never })
        .transaction
    expect(read('base64')).toEqual([wire.toString('base64'), 'base64'])
    expect(read('json')).toMatchObject({ message: { header: { numRequiredSignatures: 1 } } })
    expect(read('jsonParsed')).toMatchObject({
      message: { accountKeys: [{ pubkey: payer.publicKey.toBase58(), signer: true, writable: true }, {}, {}] },
    })
  })
})

describe('bad input', () => {
  it.each([
    ['not JSON', '{', { id: null, error: { code: -32700 } }],
    ['an empty batch', '[]', { id: null, error: { code: -32600 } }],
    ['no method', '{"jsonrpc":"2.0","id":7}', { id: 7, error: { code: -32600 } }],
    ['an unknown method', '{"jsonrpc":"2.0","id":7,"method":"toString"}', { id: 7, error: { code: -32601 } }],
    [
      'a bad address',
      '{"jsonrpc":"2.0","id":"a","method":"getBalance","params":["0OIl"]}',
      { id: 'a', error: { code: -32602 } },
    ],
    ['too many parameters', '{"jsonrpc":"2.0","id":1,"method":"getHealth","params":[1]}', { error: { code: -32602 } }],
  ])('%s gets the JSON-RPC error for it', (_name, body, answer) => {
    expect(JSON.parse(lab.text(body) ?? '')).toMatchObject({ jsonrpc: '2.0', ...answer })
  })

  it('answers a batch in order, skips notifications and refuses more than 100', () => {
    const one = (id: number | undefined) => ({ jsonrpc: '2.0', method: 'getHealth', ...(id !== undefined && { id }) })
    expect(JSON.parse(lab.text(JSON.stringify([one(1), one(undefined), one(2)])) ?? '')).toEqual([
      { jsonrpc: '2.0', result: 'ok', id: 1 },
      { jsonrpc: '2.0', result: 'ok', id: 2 },
    ])
    expect(lab.text(JSON.stringify(one(undefined)))).toBeUndefined()
    const many = Array.from({ length: 101 }, (_, id) => one(id))
    expect(JSON.parse(lab.text(JSON.stringify(many)) ?? '')).toMatchObject({ error: { code: -32600 } })
  })

  it('refuses other bytes under a signature that it knows', () => {
    const original = transfer(1_000_000)
    const sent = lab.call('sendTransaction', original.toString('base64'), { encoding: 'base64' })
    expect(sent.error).toBeUndefined()
    const forged = Buffer.from(original)
    forged[69] = forged[69]! ^ 1
    const { error } = lab.call('sendTransaction', forged.toString('base64'), { encoding: 'base64' })
    expect(error).toMatchObject({ code: -32003 })
  })

  // LiteSVM's native part ends the process on bytes it cannot decode; if the parser let any through, this test would not
  // fail, it would never come back.
  it('survives mutilated transactions, sent and simulated', () => {
    const whole = [transfer(1_000_000), versioned([])]
    const edit = fc.record({ at: fc.nat(400), value: fc.nat(255), kind: fc.constantFrom('set', 'insert', 'remove') })
    fc.assert(
      fc.property(fc.constantFrom(...whole), fc.array(edit, { minLength: 1, maxLength: 4 }), (original, edits) => {
        const bytes = edits.reduce((wire, { at, value, kind }) => {
          const head = wire.subarray(0, at % wire.length)
          const tail = wire.subarray((at % wire.length) + (kind === 'insert' ? 0 : 1))
          return Buffer.concat([head, kind === 'remove' ? Buffer.alloc(0) : Buffer.from([value]), tail])
        }, original)
        const text = bytes.toString('base64')
        lab.call('simulateTransaction', text, { encoding: 'base64', replaceRecentBlockhash: true })
        const { error, result } = lab.call('sendTransaction', text, { encoding: 'base64' })
        // Only the very same bytes may pass: everything else breaks the signature or the form.
        if (error === undefined) expect(bytes.equals(original), String(result)).toBe(true)
      }),
      { numRuns: 3_000, seed: 20_261_122 },
    )
  })

  it('refuses a lookup table that is not there', () => {
    const table = new AddressLookupTableAccount({
      key: Keypair.generate().publicKey,
      state: {
        addresses: [Keypair.generate().publicKey],
        deactivationSlot: 2n ** 64n - 1n,
        lastExtendedSlot: 0,
        lastExtendedSlotStartIndex: 0,
      },
    })
    const wire = versioned([table], table.state.addresses[0])
    expect(send(wire).error).toMatchObject({ code: -32002, data: { err: 'AddressLookupTableNotFound' } })
    expect(send(wire, { skipPreflight: true }).error).toBeUndefined()
  })
})

const versioned = (tables: AddressLookupTableAccount[], to = new PublicKey(Keypair.generate().publicKey)): Buffer => {
  const message = new TransactionMessage({
    payerKey: payer.publicKey,
    recentBlockhash: latest().blockhash,
    instructions: [SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: to, lamports: 1_000_000 })],
  }).compileToV0Message(tables)
  const tx = new VersionedTransaction(message)
  tx.sign([payer])
  return Buffer.from(tx.serialize())
}

describe('a chain folder', () => {
  const open = (folder: string, clock = createClock()) => openChain({ folder, now: clock.now, log: silent })
  const withFolder = (use: (folder: string) => void): void => {
    const folder = mkdtempSync(join(tmpdir(), 'bramble-chain-'))
    try {
      use(folder)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  it('is one chain for ever, and another folder is another chain', () => {
    withFolder((first) => {
      const born = open(first)
      const { genesisHash } = born
      born.close()
      const again = open(first)
      expect(again.genesisHash).toBe(genesisHash)
      again.close()
      withFolder((second) => {
        const other = open(second)
        expect(other.genesisHash).not.toBe(genesisHash)
        other.close()
      })
    })
  })

  it('serves one process at a time', () => {
    withFolder((folder) => {
      const first = open(folder)
      expect(() => open(folder)).toThrow(expect.objectContaining({ code: 'in-use' }))
      first.close()
    })
  })
})
