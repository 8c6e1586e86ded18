// Address lookup tables, read from their bytes and written the way a node's `jsonParsed` encoding writes them.
import { encodeBase58 } from '../base58.ts'
import type { AccountState } from './svm.ts'

export const LOOKUP_TABLE_PROGRAM = 'AddressLookupTab1e1111111111111111111111111'
/** Kind u32, deactivation slot u64, last extended slot u64, where that extension began u8, Option<authority>; then addresses. */
const HEAD = 56
const ADDRESS = 32
const INITIALIZED = 1

const addressAt = (data: Uint8Array, at: number): string => encodeBase58(data.subarray(at, at + ADDRESS))

/** What a transaction gets that asks for this index. */
export const listedAt = (data: Uint8Array, index: number): string => addressAt(data, HEAD + index * ADDRESS)

/** Undefined where a node would fall back to base64. */
export function parsedTable({ owner, data }: AccountState) {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  if (owner !== LOOKUP_TABLE_PROGRAM || bytes.length < HEAD || bytes.readUInt32LE(0) !== INITIALIZED) return undefined
  const info = {
    deactivationSlot: bytes.readBigUInt64LE(4).toString(),
    lastExtendedSlot: bytes.readBigUInt64LE(12).toString(),
    lastExtendedSlotStartIndex: bytes.readUInt8(20),
    ...(bytes[21] === 1 && { authority: addressAt(data, 22) }),
    addresses: Array.from({ length: Math.floor((bytes.length - HEAD) / ADDRESS) }, (_, index) => listedAt(data, index)),
  }
  return { program: 'address-lookup-table', parsed: { type: 'lookupTable', info }, space: bytes.length }
}
