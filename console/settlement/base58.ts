// Base58 as Solana writes addresses, signatures and blockhashes (Bitcoin alphabet, each leading zero byte is one `1`).
const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const VALUE = new Map([...ALPHABET].map((char, value) => [char, value]))

// Long arithmetic goes by limbs of several digits: five base58 digits, or five bytes, times the other base still fit a double.
const DIGITS_PER_LIMB = 5
const BYTES_PER_LIMB = 5
const DIGIT_LIMB = 58 ** DIGITS_PER_LIMB
const BYTE_LIMB = 256 ** BYTES_PER_LIMB

/** One step of long multiplication in place: limbs (little-endian, base `base`) = limbs × factor + carry. */
const multiplyAdd = (limbs: number[], factor: number, carry: number, base: number): void => {
  let rest = carry
  for (let i = 0; i < limbs.length; i++) {
    rest += (limbs[i] ?? 0) * factor
    limbs[i] = rest % base
    rest = Math.floor(rest / base)
  }
  if (rest > 0) limbs.push(rest)
}

/** The digits of all limbs, most significant first, without leading zeros. */
const digitsOf = (limbs: readonly number[], base: number, perLimb: number): number[] => {
  const digits = limbs.flatMap((limb) => {
    let rest = limb
    return Array.from({ length: perLimb }, () => {
      const digit = rest % base
      rest = Math.floor(rest / base)
      return digit
    })
  })
  while (digits.at(-1) === 0) digits.pop()
  return digits.reverse()
}

export function encodeBase58(bytes: Uint8Array): string {
  const limbs: number[] = []
  for (const byte of bytes) multiplyAdd(limbs, 256, byte, DIGIT_LIMB)
  let zeros = 0
  while (zeros < bytes.length && bytes[zeros] === 0) zeros++
  const digits = digitsOf(limbs, 58, DIGITS_PER_LIMB).map((digit) => ALPHABET[digit])
  return '1'.repeat(zeros) + digits.join('')
}

/** Undefined for a character outside the alphabet or a text longer than any transaction. */
export function decodeBase58(text: string): Uint8Array | undefined {
  // A 1,232-byte transaction has 1,683 characters; the work grows with the square of the length.
  if (text.length > 1_700) return undefined
  const limbs: number[] = []
  for (const char of text) {
    const value = VALUE.get(char)
    if (value === undefined) return undefined
    multiplyAdd(limbs, 58, value, BYTE_LIMB)
  }
  const zeros = text.length - text.replace(/^1+/, '').length
  return Uint8Array.from([...new Array<number>(zeros).fill(0), ...digitsOf(limbs, 256, BYTES_PER_LIMB)])
}
