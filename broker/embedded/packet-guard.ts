// Watches the sizes of MQTT packets in a byte stream, before anybody buffers them: aedes 1.2.0 has no limit of its own
// and will collect 150 MB of an unauthenticated CONNECT.

export type GuardVerdict =
  /** All of the chunk may pass. */
  | { kind: 'pass' }
  /** The CONNECT packet ends here; what follows belongs to a client that is not accepted yet. */
  | { kind: 'connect-ends'; at: number }
  /** From here on a fixed header has begun and not ended: these bytes come again, with what follows them. */
  | { kind: 'header-cut'; at: number }
  /** The packet that begins at `at` is too large; its body follows `headerBytes` later. The guard then expects the next packet. */
  | { kind: 'oversize'; at: number; headerBytes: number; bytes: number; first: number }
  | { kind: 'malformed' }

export interface PacketGuard {
  inspect(chunk: Uint8Array): GuardVerdict
}

const CONNECT = 1
const MAX_LENGTH_BYTES = 4

type Header = { bytes: number; remaining: number } | 'cut' | 'malformed'

/** One byte of type and flags, then the remaining length in one to four bytes of seven bits each, the lowest first. */
function readHeader(chunk: Uint8Array, at: number): Header {
  let remaining = 0
  for (let i = 0; i < MAX_LENGTH_BYTES; i += 1) {
    const byte = chunk[at + 1 + i]
    if (byte === undefined) return 'cut'
    remaining += (byte & 0x7f) * 128 ** i
    if ((byte & 0x80) === 0) return { bytes: 2 + i, remaining }
  }
  return 'malformed'
}

export function createPacketGuard(limits: {
  readonly connectBytes: number
  readonly packetBytes: number
}): PacketGuard {
  let connected = false
  let inBody = 0

  /** The verdict that stops the walk through a chunk at a packet's beginning, or how far it goes on. */
  function packetAt(chunk: Uint8Array, at: number): GuardVerdict | number {
    const first = chunk[at] ?? 0
    if (!connected && first >> 4 !== CONNECT) return { kind: 'malformed' }
    const header = readHeader(chunk, at)
    if (header === 'malformed') return { kind: 'malformed' }
    if (header === 'cut') return { kind: 'header-cut', at }
    const bytes = header.bytes + header.remaining
    if (bytes > (connected ? limits.packetBytes : limits.connectBytes))
      return { kind: 'oversize', at, headerBytes: header.bytes, bytes, first }
    inBody = header.remaining
    return header.bytes
  }

  return {
    inspect(chunk) {
      for (let at = 0; at < chunk.byteLength; ) {
        if (inBody > 0) {
          const taken = Math.min(inBody, chunk.byteLength - at)
          inBody -= taken
          at += taken
        } else {
          const found = packetAt(chunk, at)
          if (typeof found !== 'number') return found
          at += found
        }
        if (!connected && inBody === 0) {
          connected = true
          return { kind: 'connect-ends', at }
        }
      }
      return { kind: 'pass' }
    },
  }
}
