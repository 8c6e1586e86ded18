// Reads a signed transaction off the wire (legacy and version 0), strictly. LiteSVM's native part aborts the whole
// process on bytes it cannot decode, so nothing reaches it that this parser did not walk to the last byte.
import { encodeBase58 } from '../base58.ts'

export interface WireInstruction {
  readonly programIdIndex: number
  readonly accounts: readonly number[]
  readonly data: Uint8Array
}
export interface AddressLookup {
  readonly table: string
  readonly writable: readonly number[]
  readonly readonly: readonly number[]
}
export interface WireTransaction {
  readonly version: 'legacy' | 0
  readonly wire: Uint8Array
  readonly signatures: readonly string[]
  readonly header: { readonly required: number; readonly readonlySigned: number; readonly readonlyUnsigned: number }
  /** The addresses named in the message itself, without those of lookup tables. */
  readonly keys: readonly string[]
  readonly blockhash: string
  readonly instructions: readonly WireInstruction[]
  readonly lookups: readonly AddressLookup[]
}

export class WireFault extends Error {}

/** IPv6 minimum MTU minus headers: the largest legacy or version 0 transaction. */
export const MAX_WIRE_BYTES = 1_232

const createReader = (bytes: Uint8Array) => {
  let at = 0
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new WireFault('failed to fill whole buffer')
    at += length
    return bytes.subarray(at - length, at)
  }
  const byte = (): number => take(1)[0] ?? 0
  /** Compact-u16: 7 bits a byte, at most 3 bytes, and no padding zeros (the native decoder refuses them too). */
  const length = (): number => {
    let value = 0
    for (let shift = 0; shift < 21; shift += 7) {
      const next = byte()
      value |= (next & 0x7f) << shift
      if (next & 0x80) continue
      if ((next === 0 && shift > 0) || value > 0xffff) throw new WireFault('invalid compact length')
      return value
    }
    throw new WireFault('invalid compact length')
  }
  return {
    byte,
    take,
    list: <T>(read: () => T): T[] => Array.from({ length: length() }, read),
    bytes: (): Uint8Array => take(length()),
    base58: (size: number): string => encodeBase58(take(size)),
    peek: (): number => bytes[at] ?? 0,
    ended: (): boolean => at === bytes.length,
  }
}

/** Throws WireFault with a sentence for anything but one whole, well-formed transaction. */
export function parseTransaction(wire: Uint8Array): WireTransaction {
  if (wire.length > MAX_WIRE_BYTES)
    throw new WireFault(`transaction is ${wire.length} bytes, more than ${MAX_WIRE_BYTES}`)
  const read = createReader(wire)
  const signatures = read.list(() => read.base58(64))
  const version = readVersion(read)
  const header = { required: read.byte(), readonlySigned: read.byte(), readonlyUnsigned: read.byte() }
  const keys = read.list(() => read.base58(32))
  const blockhash = read.base58(32)
  const instructions = read.list(() => ({
    programIdIndex: read.byte(),
    accounts: [...read.bytes()],
    data: read.bytes(),
  }))
  const lookups = version === 0 ? read.list(() => readLookup(read)) : []
  if (!read.ended()) throw new WireFault('bytes follow the transaction')
  const transaction = { version, wire, signatures, header, keys, blockhash, instructions, lookups } as const
  assertSane(transaction)
  return transaction
}

type Reader = ReturnType<typeof createReader>

const readVersion = (read: Reader): 'legacy' | 0 => {
  if ((read.peek() & 0x80) === 0) return 'legacy'
  const version = read.byte() & 0x7f
  if (version !== 0) throw new WireFault(`transaction version ${version} is not served by the local chain`)
  return 0
}

const readLookup = (read: Reader): AddressLookup => ({
  table: read.base58(32),
  writable: [...read.bytes()],
  readonly: [...read.bytes()],
})

const assertSane = ({ signatures, header, keys, instructions, lookups }: WireTransaction): void => {
  const loaded = lookups.reduce((sum, { writable, readonly }) => sum + writable.length + readonly.length, 0)
  if (header.required === 0 || signatures.length !== header.required) throw new WireFault('wrong number of signatures')
  if (header.readonlySigned >= header.required) throw new WireFault('the fee payer must be writable')
  if (header.required + header.readonlyUnsigned > keys.length)
    throw new WireFault('fewer accounts than the header says')
  if (new Set(keys).size !== keys.length) throw new WireFault('an account is named twice')
  for (const { programIdIndex, accounts } of instructions) {
    if (programIdIndex === 0 || programIdIndex >= keys.length) throw new WireFault('a program index is out of range')
    if (accounts.some((index) => index >= keys.length + loaded)) throw new WireFault('an account index is out of range')
  }
}
