// Task ids: ULIDs (github.com/ulid/spec), 48 bits of time then 80 random bits in Crockford's base 32, so that ids sort
// by time. Within one millisecond the random part counts up, so ids of one maker never repeat and stay in order.

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

function encode(value: bigint, letters: number): string {
  let text = ''
  for (let shift = BigInt((letters - 1) * 5); shift >= 0n; shift -= 5n) text += ALPHABET[Number((value >> shift) & 31n)]
  return text
}

export function createUlid(now: () => number, randomBytes: (length: number) => Uint8Array): () => string {
  let time = -1
  let random = 0n
  return () => {
    const at = now()
    if (at > time) {
      time = at
      // The top bit stays free for counting up.
      random = BigInt(`0x${Buffer.from(randomBytes(10)).toString('hex')}`) >> 1n
    } else {
      random += 1n
    }
    return encode(BigInt(time), 10) + encode(random, 16)
  }
}
