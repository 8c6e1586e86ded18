// Each requester's deposit key comes from the treasury's: whoever has that one key file can reach every deposit again.
import { createHmac } from 'node:crypto'
import { encodeBase58 } from '../base58.ts'
import { type ChainKey, publicKeyOf } from '../keys.ts'

const SEED_BYTES = 32

export function depositKey(treasury: ChainKey, requester: string): ChainKey {
  const seed = createHmac('sha256', treasury.secretKey.subarray(0, SEED_BYTES))
    .update(`bramble deposit ${requester}`)
    .digest()
  const publicKey = publicKeyOf(seed)
  return { address: encodeBase58(publicKey), secretKey: Buffer.concat([seed, publicKey]) }
}
