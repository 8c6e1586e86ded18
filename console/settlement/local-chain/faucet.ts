// The faucet of the local chain: an ordinary account, funded at birth, whose transfers are ordinary transactions.
import { createHash, sign } from 'node:crypto'
import { decodeBase58, encodeBase58 } from '../base58.ts'
import { privateKeyOf, publicKeyOf } from '../keys.ts'
import { MEMO_PROGRAMS } from './record.ts'

/** Five million SOL: as much as a JSON number carries exactly. */
export const FAUCET_LAMPORTS = 5_000_000_000_000_000n
const SYSTEM_PROGRAM = new Uint8Array(32)
const TRANSFER = 2

export interface Faucet {
  readonly address: string
  /** A signed System transfer; the memo keeps two equal airdrops of one slot apart. */
  transfer(to: string, lamports: bigint, blockhash: string, memo: string): Uint8Array
}

/** The key follows from the genesis hash: it guards play money, and whoever reaches the RPC may ask for an airdrop anyway. */
export function createFaucet(genesis: Uint8Array): Faucet {
  const seed = createHash('sha256').update('bramble faucet').update(genesis).digest()
  const publicKey = publicKeyOf(seed)
  const key = privateKeyOf(seed)
  const bytes = (text: string): Uint8Array => decodeBase58(text) ?? SYSTEM_PROGRAM
  return {
    address: encodeBase58(publicKey),
    transfer(to, lamports, blockhash, memo) {
      const data = Buffer.alloc(12)
      data.writeUInt32LE(TRANSFER, 0)
      data.writeBigUInt64LE(lamports, 4)
      const text = Buffer.from(memo)
      const message = Buffer.concat([
        // One signer (the faucet, writable), two read-only programs; then the four accounts and the blockhash.
        Buffer.from([1, 0, 2, 4]),
        publicKey,
        bytes(to),
        SYSTEM_PROGRAM,
        bytes(MEMO_PROGRAMS[0]),
        bytes(blockhash),
        Buffer.from([2, /* System */ 2, 2, 0, 1, data.length]),
        data,
        Buffer.from([/* Memo */ 3, 0, text.length]),
        text,
      ])
      return Buffer.concat([Buffer.from([1]), sign(null, message, key), message])
    },
  }
}
