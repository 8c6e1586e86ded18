// The sha256 and size of a file, read in pieces: a model may be larger than the memory of the board that checks it.
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'

const PIECE_BYTES = 256 * 1024

/** Reads at most one byte more than `limitBytes`, so that an endless file ends too. Rejects with the fault of the disk. */
export async function digestOfFile(path: string, limitBytes: number): Promise<{ sha256: string; bytes: number }> {
  const handle = await open(path, 'r')
  try {
    const hash = createHash('sha256')
    const piece = Buffer.allocUnsafe(PIECE_BYTES)
    let bytes = 0
    while (bytes <= limitBytes) {
      const { bytesRead } = await handle.read(piece, 0, PIECE_BYTES, bytes)
      if (bytesRead === 0) break
      hash.update(piece.subarray(0, bytesRead))
      bytes += bytesRead
    }
    return { sha256: hash.digest('hex'), bytes }
  } finally {
    await handle.close()
  }
}
