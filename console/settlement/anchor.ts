// What a signed transaction says to somebody who has nothing but its bytes: who signed it, and the texts it left on the chain.
import { verify } from 'node:crypto'
import { publicKeyFromRaw } from '../../broker/protocol/credentials.ts'
import { decodeBase58 } from './base58.ts'
import { parseTransaction, WireFault, type WireTransaction } from './local-chain/message.ts'
import { MEMO_PROGRAM } from './spl.ts'

export interface Anchor {
  /** The transaction's name: the first of its signatures. */
  readonly signature: string
  /** Addresses whose signatures over the message are good. */
  readonly signers: ReadonlySet<string>
  readonly memos: readonly string[]
}

const SIGNATURE_BYTES = 64
const KEY_BYTES = 32

function goodSigners({ wire, signatures, keys }: WireTransaction): Set<string> {
  // Signatures come first, after their count, which fits one byte in any transaction of 1,232.
  const message = wire.subarray(1 + signatures.length * SIGNATURE_BYTES)
  const isGood = (_: string, index: number): boolean => {
    const raw = decodeBase58(keys[index] ?? '')
    const start = 1 + index * SIGNATURE_BYTES
    const signature = wire.subarray(start, start + SIGNATURE_BYTES)
    return raw?.length === KEY_BYTES && verify(null, message, publicKeyFromRaw(raw), signature)
  }
  return new Set(signatures.map((_, index) => keys[index] ?? '').filter(isGood))
}

/** Undefined for bytes that are no whole transaction. */
export function readAnchor(wire: Uint8Array): Anchor | undefined {
  let transaction: WireTransaction
  try {
    transaction = parseTransaction(wire)
  } catch (error) {
    if (error instanceof WireFault) return undefined
    throw error
  }
  const { instructions, keys, signatures } = transaction
  return {
    signature: signatures[0] ?? '',
    signers: goodSigners(transaction),
    memos: instructions
      .filter(({ programIdIndex }) => keys[programIdIndex] === MEMO_PROGRAM)
      .map(({ data }) => Buffer.from(data).toString('utf8')),
  }
}
