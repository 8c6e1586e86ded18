// How many bytes a legacy transaction takes, from its instructions alone: filling batches asks for it thousands of times.
import type { Instruction } from './spl.ts'

const SIGNATURE = 64
const ADDRESS = 32
const HEADER = 3

/** Lengths are written with 7 bits a byte. */
const lengthBytes = (length: number): number => (length < 128 ? 1 : length < 16_384 ? 2 : 3)

/** With all signatures, as it is sent. */
export function transactionBytes(instructions: readonly Instruction[], feePayer: string): number {
  const signers = new Set([feePayer])
  const keys = new Set([feePayer])
  let bytes = 0
  for (const { program, accounts, data } of instructions) {
    keys.add(program)
    for (const { address, signer } of accounts) {
      keys.add(address)
      if (signer) signers.add(address)
    }
    bytes += 1 + lengthBytes(accounts.length) + accounts.length + lengthBytes(data.length) + data.length
  }
  const lists = lengthBytes(signers.size) + lengthBytes(keys.size) + lengthBytes(instructions.length)
  return lists + SIGNATURE * signers.size + HEADER + ADDRESS * keys.size + ADDRESS + bytes
}
