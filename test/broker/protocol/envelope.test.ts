import { encode } from 'cborg'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeFrame, type Frame, parseFrame, sniff } from '../../../broker/protocol/envelope.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const refused = (payload: Uint8Array): string => {
  const parsed = parseFrame(payload)
  expect(parsed.ok).toBe(false)
  return parsed.ok ? '' : parsed.message
}
const hex = (value: string): Uint8Array => new Uint8Array(Buffer.from(value, 'hex'))

const MEDIA: readonly (readonly [string, Uint8Array])[] = [
  ['image/jpeg', bytes(0xff, 0xd8, 0xff, 0xe0, 0, 16)],
  ['image/png', bytes(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)],
  ['image/webp', text('RIFF\x10\0\0\0WEBPVP8 ')],
  ['audio/wav', text('RIFF\x10\0\0\0WAVEfmt ')],
  ['application/json', text('{"samples":[1,2]}')],
  ['application/json', text('\n\t [1,2]')],
]

describe('frames', () => {
  it.each(MEDIA)('%s is told by its first bytes', (contentType, payload) => {
    expect(sniff(payload)).toBe(contentType)
    expect(parseFrame(payload)).toEqual({ ok: true, frame: { contentType, data: payload } })
  })

  it('a CBOR map round-trips whatever it carries', () => {
    const frame = fc.record(
      {
        id: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
        deadline: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        contentType: fc.constantFrom('image/jpeg', 'audio/wav', 'application/json', 'application/octet-stream'),
        data: fc.uint8Array({ minLength: 1, maxLength: 300 }),
      },
      { requiredKeys: ['contentType', 'data'] },
    )
    fc.assert(
      fc.property(frame, (sent) => {
        const parsed = parseFrame(encodeFrame(sent as Frame))
        expect(parsed).toEqual({ ok: true, frame: sent })
      }),
    )
  })

  it('a CBOR map without a type is sniffed inside', () => {
    expect(parseFrame(encode({ data: MEDIA[0]![1] }))).toMatchObject({ ok: true, frame: { contentType: 'image/jpeg' } })
    expect(parseFrame(encode({ data: bytes(1, 2, 3) }))).toMatchObject({
      ok: true,
      frame: { contentType: 'application/octet-stream' },
    })
  })

  it('no bytes at all make it throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (payload) => {
        expect(typeof parseFrame(payload).ok).toBe('boolean')
      }),
      { numRuns: 2_000 },
    )
    // The same with a CBOR map's first byte, so that the decoder is reached.
    fc.assert(
      fc.property(fc.integer({ min: 0xa0, max: 0xbf }), fc.uint8Array({ maxLength: 64 }), (first, rest) => {
        expect(typeof parseFrame(bytes(first, ...rest)).ok).toBe('boolean')
      }),
      { numRuns: 2_000 },
    )
  })

  it('an empty payload and a text file are refused in words', () => {
    expect(refused(bytes())).toBe('the payload is empty')
    expect(refused(text('hello'))).toContain('neither JPEG')
  })

  it.each([
    ['an unknown field', encode({ data: bytes(1), hello: 1 }), 'hello'],
    ['a missing data field', encode({ id: 'a' }), 'data'],
    ['data that is text', encode({ data: 'abc' }), 'data'],
    ['empty data', encode({ data: bytes() }), 'data is empty'],
    ['an id that is no topic level', encode({ id: 'a/b', data: bytes(1) }), 'id must match'],
    ['a deadline that is no time', encode({ deadline: -1, data: bytes(1) }), 'deadline'],
    ['an unknown content type', encode({ ct: 'text/html', data: bytes(1) }), 'ct'],
    ['a cut map', encode({ data: bytes(1, 2, 3) }).subarray(0, 6), 'bad CBOR map'],
    ['bytes after the map', Buffer.concat([encode({ data: bytes(1) }), bytes(0)]), 'bad CBOR map'],
    // {"data": h'01', "data": h'02'}: two readers would see two different frames.
    ['a repeated key', hex('a2646461746141016464617461 4102'.replace(' ', '')), 'bad CBOR map'],
    ['an indefinite map', hex('bf64646174614101ff'), 'bad CBOR map'],
    ['a map that claims 2^32 entries', hex('ba ff ff ff ff'.replaceAll(' ', '')), 'bad CBOR map'],
    ['bytes that claim 2^53 of them', hex('a164646174615b001fffffffffffff'), 'bad CBOR map'],
  ])('%s is refused in words', (_, payload, words) => {
    expect(refused(payload)).toContain(words)
  })

  it('nesting a hundred thousand deep is refused and does not end the process', () => {
    // {"data": [[[[…]]]]}
    const deep = Buffer.concat([hex('a16464617461'), Buffer.alloc(100_000, 0x81), bytes(1)])
    expect(refused(deep)).toContain('bad CBOR map')
  })

  it('a key of Object.prototype does not pass as an own field', () => {
    expect(refused(encode({ ['__proto__']: bytes(1) }))).toContain('bad CBOR map')
  })
})
