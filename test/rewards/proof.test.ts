import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { rawPublicKey } from '../../broker/protocol/credentials.ts'
import { ReceiptBatch, signBatch } from '../../broker/protocol/receipts.ts'
import { Proof, proofOf } from '../../console/rewards/proof.ts'
import { readAnchor } from '../../console/settlement/anchor.ts'
import { verifyProof } from '../../console/settlement/verify.ts'
import type { Store } from '../../console/store/open.ts'
import { addRequester, enrol, type Folder, makeFolder, openStore, type Pool, startPool } from '../market/pool.ts'
import { type Anchored, createAnchored, FEE_PAYER, signAnchor, TREASURY } from './anchored.ts'

let folder: Folder
let store: Store
let pool: Pool
let anchored: Anchored

const treasury = TREASURY.publicKey.toBase58()

/** Three epochs: the first has no payout of its own, the second's carries both heads, the third's is on its way. */
beforeAll(async () => {
  folder = makeFolder()
  store = await openStore(folder)
  const board = await enrol(store, 'owner-a')
  await addRequester(store, 'req-a', 1_000_000n)
  pool = await startPool(store)
  anchored = createAnchored(store, pool, board)
  await anchored.epoch(3, 2)
  await anchored.epoch(6, 1)
  await anchored.anchor('e2-1')
  await anchored.epoch(1)
  await anchored.anchor('e3-1', 'sent')
})

afterAll(async () => {
  await store.close()
  folder.remove()
})

async function proofFor(receipt: number): Promise<Proof> {
  const proven = await proofOf(store.db, receipt, treasury)
  if (!('proof' in proven)) throw new Error(proven.message)
  return proven.proof
}

const faultsOf = (proof: Proof, expected: string | undefined = treasury): string[] =>
  verifyProof(proof, { treasury: expected })
    .filter(({ ok }) => !ok)
    .map(({ name }) => name)

/** What `bramble rewards verify` says of a text: is it a good proof? */
function isGood(text: string): boolean {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return false
  }
  const proof = Proof.safeParse(json)
  return proof.success && faultsOf(proof.data).length === 0
}

test('every receipt of an anchored epoch has a proof that holds, across batches and epochs', async () => {
  for (let receipt = 1; receipt <= 12; receipt++) {
    const proof = await proofFor(receipt)
    expect(faultsOf(proof)).toEqual([])
    expect(proof.receipt).toMatchObject({ id: receipt, owner: 'owner-a', amount: '85' })
    expect(proof.roots.map(({ epoch }) => epoch)).toEqual(receipt <= 5 ? [1, 2] : [2])
    expect(proof.anchor.batch).toBe('e2-1')
  }
})

test('a receipt that is not there, in no closed epoch, or in one that no final payout names has none yet', async () => {
  expect(await proofOf(store.db, 99, treasury)).toMatchObject({ refused: 'unknown-receipt' })
  expect(await proofOf(store.db, 13, treasury)).toMatchObject({ refused: 'not-anchored' })
  await store.db.updateTable('receipts').set({ epoch_id: null }).where('id', '=', 13).execute()
  expect(await proofOf(store.db, 13, treasury)).toMatchObject({ refused: 'not-closed' })
  await store.db.updateTable('receipts').set({ epoch_id: 3 }).where('id', '=', 13).execute()
})

test('a proof with any of its bits changed does not hold', async () => {
  const text = JSON.stringify(await proofFor(4))
  expect(isGood(text)).toBe(true)
  const bytes = Buffer.from(text)
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
      const forged = Buffer.from(bytes)
      forged[at]! ^= 1 << bit
      const changed = forged.toString('utf8')
      // Two ways to write the same number, or the same letter escaped, say the same.
      fc.pre(!saysTheSame(changed, text))
      expect(isGood(changed)).toBe(false)
    }),
    { numRuns: 3_000 },
  )
})

function saysTheSame(a: string, b: string): boolean {
  try {
    return JSON.stringify(JSON.parse(a)) === JSON.stringify(JSON.parse(b))
  } catch {
    return false
  }
}

test('a forged field is found by the check that it is about', async () => {
  const proof = await proofFor(4)
  const other = await proofFor(7)
  const [board, batch, leaf, memo, signed] = [
    'the board signed its batch',
    'the batch claims the receipt',
    "the receipt lies under its epoch's root",
    'the head over the roots is in the memo',
    'the treasury signed the transaction',
  ]
  const receipt = (change: Partial<Proof['receipt']>): Proof => ({ ...proof, receipt: { ...proof.receipt, ...change } })
  const anchor = (change: Partial<Proof['anchor']>): Proof => ({ ...proof, anchor: { ...proof.anchor, ...change } })
  const wire = Buffer.from(proof.anchor.transaction, 'base64')
  const unsigned = Buffer.from(wire)
  unsigned[1 + 64 + 10]! ^= 1
  const cases: [Proof, string[]][] = [
    [receipt({ amount: '86' }), [leaf]],
    [receipt({ owner: 'owner-b' }), [leaf]],
    [receipt({ output: 'ab'.repeat(32) }), [batch, leaf]],
    [receipt({ ms: 99 }), [batch, leaf]],
    [receipt({ idx: 1 }), [batch, leaf]],
    [receipt({ seq: 1 }), [batch, leaf]],
    [receipt({ device: 'dev-other' }), [board, batch, leaf]],
    [{ ...proof, claim: other.claim }, [batch]],
    [{ ...proof, claim: { ...proof.claim, jws: `${proof.claim.jws.slice(0, -3)}AAA` } }, [board, batch]],
    [{ ...proof, path: proof.path.slice(1) }, [leaf]],
    [{ ...proof, path: other.path }, [leaf]],
    [{ ...proof, before: 'ab'.repeat(32) }, [memo]],
    [{ ...proof, roots: proof.roots.slice(0, 1) }, [memo]],
    [{ ...proof, roots: proof.roots.toReversed() }, [leaf, memo]],
    [anchor({ batch: 'e2-2' }), [memo]],
    [anchor({ transaction: Buffer.from(signAnchor('bramble:e2-1').wire).toString('base64') }), [memo, signed]],
    [anchor({ transaction: unsigned.toString('base64') }), [signed]],
    [anchor({ transaction: wire.subarray(0, -1).toString('base64') }), [memo, signed]],
    [anchor({ signature: 'x' }), [signed]],
    [anchor({ treasury: '11111111111111111111111111111111' }), [signed, 'it is the treasury that you know']],
  ]
  for (const [forged, expected] of cases) expect(faultsOf(forged)).toEqual(expected)
})

/** The same bytes, written with other spare bits at the end. */
const respelt = (text: string): string => {
  const end = text.search(/=*$/)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(
    text
      .charAt(end - 1)
      .replace('+', '-')
      .replace('/', '_'),
  )
  return `${text.slice(0, end - 1)}${alphabet[last + 1]}${text.slice(end)}`
}

test('a text that is spelt otherwise and decodes to the same bytes is not the one that was signed', async () => {
  const proof = await proofFor(4)
  const { claim, anchor } = proof
  const transaction = Buffer.from(anchor.transaction, 'base64')
  expect(Buffer.from(respelt(claim.publicKey), 'base64url')).toEqual(Buffer.from(claim.publicKey, 'base64url'))
  expect(faultsOf({ ...proof, claim: { ...claim, publicKey: respelt(claim.publicKey) } })).toContain(
    'the board signed its batch',
  )
  expect(faultsOf({ ...proof, claim: { ...claim, jws: respelt(claim.jws) } })).toContain('the board signed its batch')
  const wrapped = transaction.toString('base64').replace(/^.{76}/, '$&\n')
  expect(faultsOf({ ...proof, anchor: { ...anchor, transaction: wrapped } })).toContain(
    'the treasury signed the transaction',
  )
})

test('the same work signed by another key is not that board’s, and the head in another program’s data is no memo', async () => {
  const proof = await proofFor(4)
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const batch = ReceiptBatch.parse(JSON.parse(Buffer.from(proof.claim.jws.split('.')[1]!, 'base64url').toString()))
  const claim = {
    jws: signBatch(batch, privateKey),
    publicKey: Buffer.from(rawPublicKey(publicKey)).toString('base64url'),
  }
  expect(faultsOf({ ...proof, claim })).toContain('the board signed its batch')
  const memos = readAnchor(Buffer.from(proof.anchor.transaction, 'base64'))?.memos
  const memo = memos?.find((text) => text.startsWith('bramble:'))
  const { wire, signature } = signAnchor(memo!, '11111111111111111111111111111111')
  const anchor = { ...proof.anchor, signature, transaction: Buffer.from(wire).toString('base64') }
  expect(faultsOf({ ...proof, anchor })).toEqual(['the head over the roots is in the memo'])
})

test('another signer of the same transaction is no treasury that the reader knows', async () => {
  const proof = await proofFor(4)
  const forged = { ...proof, anchor: { ...proof.anchor, treasury: FEE_PAYER.publicKey.toBase58() } }
  expect(faultsOf(forged)).toEqual(['it is the treasury that you know'])
  expect(verifyProof(forged, {}).at(-1)).toMatchObject({ ok: true, detail: expect.stringContaining('--treasury') })
})

test('of a batch that was signed twice no transaction is offered as the one that landed', async () => {
  const again = signAnchor('bramble:e2-1:again')
  const row = { batch_id: 'e2-1', attempt: 2, blockhash: 'b', last_valid_block_height: 2, signed_at: 0, ...again }
  await store.db.insertInto('payout_attempts').values(row).execute()
  expect(await proofOf(store.db, 4, treasury)).toMatchObject({ refused: 'not-anchored' })
  await store.db.updateTable('payout_batches').set({ state: 'finalized' }).where('id', '=', 'e3-1').execute()
  const later = await proofFor(4)
  expect(later.roots).toHaveLength(3)
  expect(faultsOf(later)).toEqual([])
})

test('closed epochs from before there were heads are committed to at the next close', async () => {
  const before = await store.db.selectFrom('epochs').selectAll().orderBy('id').execute()
  await store.db.updateTable('epochs').set({ root: null, head: null, leaves: null }).where('id', '<=', 3).execute()
  expect(await proofOf(store.db, 4, treasury)).toMatchObject({ refused: 'not-anchored' })
  await anchored.epoch(1)
  const after = await store.db.selectFrom('epochs').selectAll().orderBy('id').execute()
  expect(after.slice(0, 3)).toEqual(before.slice(0, 3))
  expect(after[3]?.leaves).toBe(1)
})
