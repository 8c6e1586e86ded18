// Base58 as Solana writes addresses, signatures and blockhashes (Bitcoin alphabet, each leading zero byte is one `1`).
const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const VALUE = new Map([...ALPHABET].map((char, value) => [char, value]))

/** One step of long multiplication in place: digits (little-endian, base `base`) = digits × factor + carry. */
const multiplyAdd = (digits: number[], factor: number, carry: number, base: number): void => {
  let rest = carry
  for (let i = 0; i < digits.length; i++) {
    rest += (digits[i] ?? 0) * factor
    digits[i] = rest % base
    rest = Math.floor(rest / base)
  }
  for (; rest > 0; rest = Math.floor(rest / base)) digits.push(rest % base)
}

export function encodeBase58(bytes: Uint8Array): string {
  const digits: number[] = []
  for (const byte of bytes) multiplyAdd(digits, 256, byte, 58)
  let zeros = 0
  while (zeros < bytes.length && bytes[zeros] === 0) zeros++
  return (
    '1'.repeat(zeros) +
    digits
      .reverse()
      .map((digit) => ALPHABET[digit])
      .join('')
  )
}

/** Undefined for a character outside the alphabet or a text longer than any transaction. */
export function decodeBase58(text: string): Uint8Array | undefined {
  // A 1,232-byte transaction has 1,683 characters; the work grows with the square of the length.
  if (text.length > 1_700) return undefined
  const bytes: number[] = []
  for (const char of text) {
    const value = VALUE.get(char)
    if (value === undefined) return undefined
    multiplyAdd(bytes, 58, value, 256)
  }
  const zeros = text.length - text.replace(/^1+/, '').length
  return Uint8Array.from([...new Array<number>(zeros).fill(0), ...bytes.reverse()])
}
