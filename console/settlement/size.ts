// How many bytes a transaction takes, from its instructions alone: filling batches asks for it thousands of times.
import type { Instruction } from './spl.ts'
import type { LookupTable } from './tables/table-chain.ts'

const SIGNATURE = 64
const ADDRESS = 32
const HEADER = 3
/** Of a version 0 transaction: the version, and how many tables follow. */
const VERSION = 1

/** Lengths are written with 7 bits a byte. */
const lengthBytes = (length: number): number => (length < 128 ? 1 : length < 16_384 ? 2 : 3)

/** What the tables make of these accounts: each takes one byte where the first table has it. Answers [bytes, accounts]. */
function listed(loadable: ReadonlySet<string>, tables: readonly LookupTable[]): [number, number] {
  const left = new Set(loadable)
  let bytes = 0
  for (const { addresses } of tables) {
    const before = left.size
    for (const address of addresses) left.delete(address)
    const taken = before - left.size
    // The table's address, then two lists of indexes: accounts that are written, and accounts that are read.
    if (taken > 0) bytes += ADDRESS + 2 + taken
  }
  return [bytes, loadable.size - left.size]
}

/** With all signatures, as it is sent: a legacy transaction, or one of version 0 where there are tables. */
export function transactionBytes(
  instructions: readonly Instruction[],
  feePayer: string,
  tables: readonly LookupTable[],
): number {
  const signers = new Set([feePayer])
  const fixed = new Set([feePayer])
  const named = new Set<string>()
  let bytes = 0
  for (const { program, accounts, data } of instructions) {
    fixed.add(program)
    for (const { address, signer } of accounts) {
      named.add(address)
      if (signer) signers.add(address)
    }
    bytes += 1 + lengthBytes(accounts.length) + accounts.length + lengthBytes(data.length) + data.length
  }
  for (const address of signers) fixed.add(address)
  const loadable = named.difference(fixed)
  const [tableBytes, taken] = listed(loadable, tables)
  const keys = fixed.size + loadable.size - taken
  const lists = lengthBytes(signers.size) + lengthBytes(keys) + lengthBytes(instructions.length)
  const version = tables.length > 0 ? VERSION + lengthBytes(tables.length) + tableBytes : 0
  return lists + SIGNATURE * signers.size + HEADER + ADDRESS * keys + ADDRESS + bytes + version
}
