// The hash by which two boards' answers are compared: over raw output bytes, before any rounding or labelling.
import { createHash } from 'node:crypto'
import { endianness } from 'node:os'
import type { Tensors } from './session.ts'

if (endianness() !== 'LE') throw new Error('digests are over little-endian tensors; this machine is big-endian')

const bytesOf = (data: ArrayBufferView): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/**
 * sha256 (hex) over the named outputs' little-endian bytes, one after the other in the manifest's order of `output.names`.
 * An audio clip of many windows is one hash over the windows in turn; state tensors are not part of it.
 */
export function createDigest(names: readonly string[]): { add(outputs: Tensors): void; hex(): string } {
  const hash = createHash('sha256')
  return {
    add(outputs) {
      for (const name of names) {
        const tensor = outputs[name]
        if (tensor) hash.update(bytesOf(tensor.data))
      }
    },
    hex: () => hash.digest('hex'),
  }
}
