// A receipt batch: compact JWS (EdDSA, the device's key) over a hash-chained list of runs, so that work done while
// offline can be proven later and not rewritten. node:crypto only: signing happens beside a SQLite transaction.
import { createHash, type KeyObject, sign, verify } from 'node:crypto'
import { z } from 'zod'
import { Runtime } from './messages.ts'

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/)

export const ReceiptItem = z.object({
  task: z.string().min(1).max(64),
  /** sha256 of the model file. */
  model: Sha256,
  /** sha256 of the frame's bytes (the media bytes, without the CBOR envelope). */
  input: Sha256,
  /** Output digest, as in the result. */
  output: Sha256,
  /** Epoch milliseconds at which the run ended. */
  at: z.int().nonnegative(),
  /** Milliseconds spent in the model. */
  ms: z.number().nonnegative(),
})
export type ReceiptItem = z.infer<typeof ReceiptItem>

/** More would outgrow a 120 KiB payload. */
export const MAX_RECEIPT_ITEMS = 200

export const ReceiptBatch = z.object({
  device: z.string(),
  boot: z.string(),
  /** Names the outbox file this chain lives in: a board that lost its card starts a new chain at seq 1. */
  chain: z.string().min(1).max(64),
  seq: z.int().positive(),
  /** Hash of the batch before (`hashOfBatch`), 64 zeros for seq 1. */
  prev: Sha256,
  runtime: Runtime,
  items: z.array(ReceiptItem).min(1).max(MAX_RECEIPT_ITEMS),
})
export type ReceiptBatch = z.infer<typeof ReceiptBatch>

export const FIRST_PREV = '0'.repeat(64)
const HEADER = Buffer.from(JSON.stringify({ alg: 'EdDSA', typ: 'bramble-receipts' })).toString('base64url')

export type VerifiedBatch =
  | { ok: true; batch: ReceiptBatch; hash: string }
  | { ok: false; reason: 'malformed' | 'bad-signature' | 'wrong-device' }

/** sha256 (hex) of the compact JWS text: what the next batch names as `prev`. */
export const hashOfBatch = (jws: string): string => createHash('sha256').update(jws).digest('hex')

/** The compact JWS of a batch, signed with the device's Ed25519 private key. */
export function signBatch(batch: ReceiptBatch, privateKey: KeyObject): string {
  const signed = `${HEADER}.${Buffer.from(JSON.stringify(batch)).toString('base64url')}`
  return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`
}

/** Checks shape, header, signature and that `device` signed for itself. Chain and lease are the console's to check. */
export function verifyBatch(jws: string, device: string, publicKey: KeyObject): VerifiedBatch {
  const [header, body, signature, ...extra] = jws.split('.')
  // The header is compared whole: no other algorithm is ever negotiated.
  if (header !== HEADER || body === undefined || signature === undefined || extra.length > 0)
    return { ok: false, reason: 'malformed' }
  if (!verify(null, Buffer.from(`${header}.${body}`), publicKey, Buffer.from(signature, 'base64url')))
    return { ok: false, reason: 'bad-signature' }
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
  } catch {
    return { ok: false, reason: 'malformed' }
  }
  const parsed = ReceiptBatch.safeParse(json)
  if (!parsed.success) return { ok: false, reason: 'malformed' }
  if (parsed.data.device !== device) return { ok: false, reason: 'wrong-device' }
  return { ok: true, batch: parsed.data, hash: hashOfBatch(jws) }
}
