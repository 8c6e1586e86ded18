// Our base58 against the codec of @solana/kit.
import { getBase58Decoder, getBase58Encoder } from '@solana/kit'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodeBase58, encodeBase58 } from '../../console/settlement/base58.ts'

it('agrees with the codec of kit on any bytes, leading zeros included, and comes back', () => {
  const withZeros = fc
    .tuple(fc.nat(4), fc.uint8Array({ maxLength: 70 }))
    .map(([zeros, bytes]) => Uint8Array.from([...new Uint8Array(zeros), ...bytes]))
  fc.assert(
    fc.property(withZeros, (bytes) => {
      const text = encodeBase58(bytes)
      expect(text).toBe(getBase58Decoder().decode(bytes))
      expect(decodeBase58(text)).toEqual(Uint8Array.from(getBase58Encoder().encode(text)))
      expect(decodeBase58(text)).toEqual(bytes)
    }),
  )
})

it('refuses characters outside the alphabet and endless text', () => {
  for (const text of ['0', 'O', 'I', 'l', 'é', ' ', '1'.repeat(1_701)]) expect(decodeBase58(text)).toBeUndefined()
})
