import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  FIRST_PREV,
  hashOfBatch,
  MAX_RECEIPT_ITEMS,
  type ReceiptBatch,
  signBatch,
  verifyBatch,
} from '../../../broker/protocol/receipts.ts'

const keys = generateKeyPairSync('ed25519')
const other = generateKeyPairSync('ed25519')
const item = {
  task: 't1',
  model: 'a'.repeat(64),
  input: 'b'.repeat(64),
  output: 'c'.repeat(64),
  at: 1_700_000_000_000,
  ms: 12.5,
}
const batch: ReceiptBatch = {
  device: 'dev-a',
  boot: 'boot-1',
  chain: 'chain-1',
  seq: 1,
  prev: FIRST_PREV,
  runtime: { ort: '1.30.0', provider: 'cpu', cpu: 'x64-vnni', decoder: 'jpeg-turbo-3.0.1', flags: [] },
  items: [item],
}
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const signedAs = (header: object, body: object): string => {
  const text = `${part(header)}.${part(body)}`
  return `${text}.${sign(null, Buffer.from(text), keys.privateKey).toString('base64url')}`
}
let jws: string

beforeAll(() => {
  jws = signBatch(batch, keys.privateKey)
})

describe('receipt batches', () => {
  it('a signed batch verifies to what was signed', () => {
    expect(verifyBatch(jws, 'dev-a', keys.publicKey)).toEqual({ ok: true, batch, hash: hashOfBatch(jws) })
  })

  it('a changed item, a changed signature and another key are bad signatures', () => {
    const [header, , signature] = jws.split('.')
    const richer = `${header}.${part({ ...batch, items: [item, item] })}.${signature}`
    expect(verifyBatch(richer, 'dev-a', keys.publicKey)).toEqual({ ok: false, reason: 'bad-signature' })
    const flipped = `${jws.slice(0, -3)}${jws.at(-3) === 'A' ? 'B' : 'A'}${jws.slice(-2)}`
    expect(verifyBatch(flipped, 'dev-a', keys.publicKey)).toEqual({ ok: false, reason: 'bad-signature' })
    expect(verifyBatch(jws, 'dev-a', other.publicKey)).toEqual({ ok: false, reason: 'bad-signature' })
    expect(verifyBatch(`${jws.split('.').slice(0, 2).join('.')}.`, 'dev-a', keys.publicKey)).toEqual({
      ok: false,
      reason: 'bad-signature',
    })
  })

  it('every byte of the text is covered: any single change is refused', () => {
    for (let i = 0; i < jws.length; i += 7) {
      const changed = `${jws.slice(0, i)}${jws[i] === 'x' ? 'y' : 'x'}${jws.slice(i + 1)}`
      const verified = verifyBatch(changed, 'dev-a', keys.publicKey)
      // base64url may spell the last bits of the signature in two ways; then the bytes are the same ones.
      if (verified.ok) expect(verified.batch).toEqual(batch)
      else expect(['malformed', 'bad-signature']).toContain(verified.reason)
    }
  })

  it('no other algorithm is accepted, whatever it is signed with', () => {
    for (const header of [
      { alg: 'none', typ: 'bramble-receipts' },
      { alg: 'EdDSA' },
      { alg: 'ES256', typ: 'bramble-receipts' },
    ])
      expect(verifyBatch(signedAs(header, batch), 'dev-a', keys.publicKey)).toEqual({ ok: false, reason: 'malformed' })
    const text = `${part({ alg: 'HS256', typ: 'bramble-receipts' })}.${part(batch)}`
    const secret = keys.publicKey.export({ format: 'der', type: 'spki' })
    const hmac = `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
    expect(verifyBatch(hmac, 'dev-a', keys.publicKey)).toEqual({ ok: false, reason: 'malformed' })
  })

  it('a batch that names another device is refused although the signature is good', () => {
    expect(verifyBatch(jws, 'dev-b', keys.publicKey)).toEqual({ ok: false, reason: 'wrong-device' })
  })

  const header = { alg: 'EdDSA', typ: 'bramble-receipts' }
  it.each([
    ['no items', { ...batch, items: [] }],
    ['too many items', { ...batch, items: Array.from({ length: MAX_RECEIPT_ITEMS + 1 }, () => item) }],
    ['seq 0', { ...batch, seq: 0 }],
    ['a broken digest', { ...batch, items: [{ ...item, output: 'zz' }] }],
    ['no runtime', { ...batch, runtime: undefined }],
  ])('%s is malformed although signed', (_, body) => {
    expect(verifyBatch(signedAs(header, body), 'dev-a', keys.publicKey)).toEqual({ ok: false, reason: 'malformed' })
  })

  it('texts that are no JWS are malformed', () => {
    for (const text of ['', '.', '..', 'a.b', `${jws}.x`, 'null', '{}'])
      expect(verifyBatch(text, 'dev-a', keys.publicKey).ok).toBe(false)
  })

  it('the hash chains batches: it changes with anything in the batch before', () => {
    const second = signBatch({ ...batch, seq: 2, prev: hashOfBatch(jws) }, keys.privateKey)
    expect(hashOfBatch(jws)).toMatch(/^[0-9a-f]{64}$/)
    expect(hashOfBatch(second)).not.toBe(hashOfBatch(jws))
  })
})
