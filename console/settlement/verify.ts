// Checks the proof of a receipt (rewards/proof.ts) with nothing but the file: from the board's signature to the treasury's.
import { deviceIdOf, publicKeyFromRaw } from '../../broker/protocol/credentials.ts'
import { type ReceiptBatch, verifyBatch } from '../../broker/protocol/receipts.ts'
import { type Beside, nextHead, rootFromPath } from '../rewards/merkle.ts'
import type { Proof } from '../rewards/proof.ts'
import { leafOf, type ReceiptFacts } from '../rewards/receipt-facts.ts'
import { readAnchor } from './anchor.ts'
import { memoOf } from './memo.ts'

export interface ProofCheck {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

const result = (name: string, fault: string | undefined, good: string): ProofCheck => ({
  name,
  ok: fault === undefined,
  detail: fault ?? good,
})

/** Base64 has spare bits at its end, and a text that differs in these alone is not the text that was signed. */
const isExact = (text: string, encoding: 'base64' | 'base64url'): boolean =>
  Buffer.from(text, encoding).toString(encoding) === text

const KEY_BYTES = 32

function boardKey({ claim, receipt }: Proof) {
  const raw = Buffer.from(claim.publicKey, 'base64url')
  if (!isExact(claim.publicKey, 'base64url') || raw.length !== KEY_BYTES || deviceIdOf(raw) !== receipt.device)
    return undefined
  return publicKeyFromRaw(raw)
}

/** The batch as the board signed it, or what is wrong. */
function readClaim(proof: Proof): { batch: ReceiptBatch } | { fault: string } {
  const { claim, receipt } = proof
  const key = boardKey(proof)
  if (key === undefined) return { fault: `the key does not belong to board ${receipt.device}` }
  const verified = verifyBatch(claim.jws, receipt.device, key)
  if (!verified.ok) return { fault: `the board's signature over its batch is not good: ${verified.reason}` }
  if (!isExact(claim.jws.split('.')[2] ?? '', 'base64url')) return { fault: "the board's signature is not well formed" }
  return { batch: verified.batch }
}

function claimFault(receipt: ReceiptFacts, batch: ReceiptBatch): string | undefined {
  const item = batch.items[receipt.idx]
  if (batch.chain !== receipt.chain || batch.seq !== receipt.seq || item === undefined)
    return `the signed batch (${batch.chain}, ${batch.seq}) is not the receipt's, or has no item ${receipt.idx}`
  const differing = (['task', 'model', 'input', 'output', 'at', 'ms'] as const).filter(
    (name) => item[name] !== receipt[name],
  )
  return differing.length === 0 ? undefined : `the board signed another ${differing.join(', ')}`
}

const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

const besideOf = (step: Proof['path'][number]): Beside =>
  'left' in step ? { left: bytes(step.left) } : { right: bytes(step.right) }

function rootFault({ receipt, path, roots: [own] }: Proof): string | undefined {
  const root = Buffer.from(rootFromPath(leafOf(receipt), path.map(besideOf))).toString('hex')
  return root === own?.root ? undefined : `the path leads to ${root}, which is not the root of epoch ${own?.epoch}`
}

/** The head after all epochs of the proof, as memos carry it. */
const headOf = ({ before, roots }: Proof): string =>
  Buffer.from(roots.reduce((head, { epoch, root }) => nextHead(head, epoch, bytes(root)), bytes(before))).toString(
    'base64url',
  )

function anchorFaults(proof: Proof): { memo?: string; signature?: string } {
  const { anchor } = proof
  const read = isExact(anchor.transaction, 'base64') ? readAnchor(Buffer.from(anchor.transaction, 'base64')) : undefined
  if (read === undefined) {
    const fault = 'the transaction cannot be read'
    return { memo: fault, signature: fault }
  }
  const memo = memoOf(anchor.batch, headOf(proof))
  const isNamed = read.signature === anchor.signature
  return {
    ...(!read.memos.includes(memo) && { memo: `the transaction says ${read.memos.join(', ')} and not ${memo}` }),
    ...(!isNamed && { signature: `the transaction is ${read.signature} and not ${anchor.signature}` }),
    ...(!read.signers.has(anchor.treasury) && { signature: `${anchor.treasury} did not sign the transaction` }),
  }
}

function treasuryCheck({ anchor }: Proof, expected: string | undefined): ProofCheck {
  const name = 'it is the treasury that you know'
  if (expected === undefined)
    return { name, ok: true, detail: `not asked: compare ${anchor.treasury} yourself, or name it with --treasury` }
  const fault = anchor.treasury === expected ? undefined : `it is ${anchor.treasury}`
  return result(name, fault, expected)
}

/** Every check that the file allows, in order. `treasury`: whom the reader expects to have signed. */
export function verifyProof(proof: Proof, { treasury }: { readonly treasury?: string | undefined }): ProofCheck[] {
  const { receipt, roots } = proof
  const claim = readClaim(proof)
  const faults = anchorFaults(proof)
  const last = roots.at(-1)?.epoch ?? 0
  return [
    result('the board signed its batch', 'fault' in claim ? claim.fault : undefined, receipt.device),
    result(
      'the batch claims the receipt',
      'fault' in claim ? 'there is no batch to look into' : claimFault(receipt, claim.batch),
      `task ${receipt.task}`,
    ),
    result(
      "the receipt lies under its epoch's root",
      rootFault(proof),
      `${receipt.amount} base units for ${receipt.owner}, epoch ${roots[0]?.epoch}`,
    ),
    result('the head over the roots is in the memo', faults.memo, `head of epoch ${last}, batch ${proof.anchor.batch}`),
    result('the treasury signed the transaction', faults.signature, proof.anchor.treasury),
    treasuryCheck(proof, treasury),
  ]
}
