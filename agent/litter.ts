// Frames lie outside V8's heap, so V8 sees no reason to collect: it let 40 MiB of answered ones stand. A full collection of this
// small heap takes a few milliseconds, and once in so many bytes of frames it is not noticed.
import { totalmem } from 'node:os'

const MOST_BYTES = 20 * 2 ** 20
/** A board with 512 MiB has nothing to spare. */
const SHARE_OF_MEMORY = 1 / 64

/** To be told of every payload that came in. Does nothing where the process has no `--expose-gc`. */
export function createLitter(): (payload: Uint8Array) => void {
  const { gc } = globalThis
  const limit = Math.min(MOST_BYTES, totalmem() * SHARE_OF_MEMORY)
  let bytes = 0
  return ({ byteLength }) => {
    bytes += byteLength
    if (bytes < limit || gc === undefined) return
    bytes = 0
    // Not now: the frame that has just come is on its way to the inference host.
    setImmediate(() => gc({ type: 'major', execution: 'sync' }))
  }
}
