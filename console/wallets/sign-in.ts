// The text that a wallet signs to be registered ("Sign-In With Solana"), and the check of its signature.
import { createPublicKey, verify } from 'node:crypto'
import { decodeBase58 } from '../settlement/base58.ts'

export interface SignIn {
  readonly domain: string
  readonly address: string
  readonly statement: string
  readonly uri: string
  /** `mainnet`, `devnet` or `localnet`. */
  readonly chainId: string
  readonly nonce: string
  /** ISO 8601. */
  readonly issuedAt: string
  readonly expiresAt: string
}

export const textOf = (signIn: SignIn): string =>
  `${signIn.domain} wants you to sign in with your Solana account:
${signIn.address}

${signIn.statement}

URI: ${signIn.uri}
Version: 1
Chain ID: ${signIn.chainId}
Nonce: ${signIn.nonce}
Issued At: ${signIn.issuedAt}
Expiration Time: ${signIn.expiresAt}`

// DER head of an Ed25519 public key (SubjectPublicKeyInfo, RFC 8410): the 32 raw bytes follow.
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64

/** Whether the wallet at `address` signed these very bytes. `signature` is base58. False for anything malformed. */
export function isSignedBy(address: string, text: string, signature: string): boolean {
  const [key, signed] = [decodeBase58(address), decodeBase58(signature)]
  if (key?.byteLength !== KEY_BYTES || signed?.byteLength !== SIGNATURE_BYTES) return false
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_HEAD, key]), format: 'der', type: 'spki' })
  return verify(null, Buffer.from(text), publicKey, signed)
}
