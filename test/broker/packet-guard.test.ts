import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createPacketGuard } from '../../broker/embedded/packet-guard.ts'

const LIMITS = { connectBytes: 100, packetBytes: 1_000 }

/** A packet of `type` with `body` bytes, its length spelled as MQTT spells it. */
function packet(type: number, body: number): Uint8Array {
  const length: number[] = []
  for (let rest = body; ; rest = Math.floor(rest / 128)) {
    length.push((rest % 128) | (rest >= 128 ? 128 : 0))
    if (rest < 128) break
  }
  return Buffer.concat([Uint8Array.of(type << 4, ...length), Buffer.alloc(body, 0x10)])
}
const CONNECT = packet(1, 20)

/** Feeds a stream in chunks, as after an accepted CONNECT; the verdict that ended it, if any. */
function feed(stream: Uint8Array, cuts: readonly number[]): string {
  const guard = createPacketGuard(LIMITS)
  let carry: Uint8Array = Buffer.alloc(0)
  let from = 0
  for (const to of [...cuts, stream.byteLength]) {
    let chunk: Uint8Array = Buffer.concat([carry, stream.subarray(from, Math.max(from, to))])
    from = Math.max(from, to)
    carry = Buffer.alloc(0)
    while (chunk.byteLength > 0) {
      const verdict = guard.inspect(chunk)
      if (verdict.kind === 'connect-ends') chunk = chunk.subarray(verdict.at)
      else if (verdict.kind === 'header-cut') {
        carry = chunk.subarray(verdict.at)
        break
      } else if (verdict.kind === 'pass') break
      else return verdict.kind
    }
  }
  return 'pass'
}
const cuts = (length: number) =>
  fc.array(fc.integer({ min: 0, max: length }), { maxLength: 8 }).map((at) => at.sort((a, b) => a - b))

describe('the packet guard', () => {
  it('says where CONNECT ends and lets packets up to the limit pass, however the bytes are cut', () => {
    const stream = Buffer.concat([CONNECT, packet(3, 997), packet(12, 0), packet(3, 130), packet(3, 0)])
    expect(createPacketGuard(LIMITS).inspect(stream)).toEqual({ kind: 'connect-ends', at: CONNECT.byteLength })
    fc.assert(
      fc.property(cuts(stream.byteLength), (at) => {
        expect(feed(stream, at)).toBe('pass')
      }),
    )
  })

  it('one byte over the limit is oversize, however the bytes are cut', () => {
    const stream = Buffer.concat([CONNECT, packet(3, 998)])
    fc.assert(
      fc.property(cuts(stream.byteLength), (at) => {
        expect(feed(stream, at)).toBe('oversize')
      }),
    )
  })

  it('a huge packet is refused by its first bytes: nothing of its body is needed', () => {
    const guard = createPacketGuard(LIMITS)
    expect(guard.inspect(packet(1, 150_000_000).subarray(0, 5))).toMatchObject({
      kind: 'oversize',
      at: 0,
      headerBytes: 5,
      bytes: 150_000_005,
    })
    const connected = createPacketGuard(LIMITS)
    connected.inspect(CONNECT)
    expect(connected.inspect(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f))).toMatchObject({ kind: 'oversize' })
  })

  it('CONNECT has its own, smaller limit', () => {
    expect(feed(packet(1, 98), [])).toBe('pass')
    expect(feed(packet(1, 99), [])).toBe('oversize')
  })

  it('anything but CONNECT first, and a length of five bytes, are malformed', () => {
    expect(feed(Buffer.from('GET / HTTP/1.1\r\n'), [])).toBe('malformed')
    expect(feed(packet(3, 5), [])).toBe('malformed')
    // 0x80 0x80 0x80 0x80: four length bytes that all promise another one.
    expect(feed(Buffer.concat([CONNECT, Uint8Array.of(0x30, 0x80, 0x80, 0x80, 0x80, 0)]), [])).toBe('malformed')
  })

  it('no byte stream makes it throw or read past the chunk', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const verdict = createPacketGuard(LIMITS).inspect(bytes)
        if (verdict.kind === 'connect-ends') expect(verdict.at).toBeLessThanOrEqual(bytes.byteLength)
      }),
      { numRuns: 2_000 },
    )
  })
})
