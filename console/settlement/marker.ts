// The marker of a batch: an account that its transaction makes before it pays. An account can be made once only, so whatever
// an RPC says about signatures, a second transaction of the same batch fails before it moves a token.
import { createHash, createHmac } from 'node:crypto'
import { decodeBase58, encodeBase58 } from './base58.ts'

/** 72 bits. The seed counts towards the transaction's size. */
const SEED_CHARACTERS = 12
const SYSTEM_PROGRAM_BYTES = Buffer.alloc(32)

/**
 * The batch id decides the seed, so that a database restored from a backup arrives at the same marker. The key keeps it from
 * being guessed: whoever knew it beforehand could send lamports there, and the batch could never be paid.
 * `secret` is the 32-byte seed of the treasury's key.
 */
export const markerSeed = (secret: Uint8Array, batch: string): string =>
  createHmac('sha256', secret).update(`bramble marker ${batch}`).digest('base64url').slice(0, SEED_CHARACTERS)

/** As the System program derives it: sha256(base, seed, owner). */
export function markerAddress(base: string, seed: string): string {
  const bytes = decodeBase58(base)
  if (bytes?.length !== 32) throw new RangeError(`not an address: "${base}"`)
  return encodeBase58(createHash('sha256').update(bytes).update(seed).update(SYSTEM_PROGRAM_BYTES).digest())
}
