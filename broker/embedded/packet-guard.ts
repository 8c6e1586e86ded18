// Watches the sizes of MQTT packets in a byte stream, before anybody buffers them: aedes 1.2.0 has no limit of its own
// and will collect 150 MB of an unauthenticated CONNECT.

export type GuardVerdict =
  /** All of the chunk may pass. */
  | { kind: 'pass' }
  /** The CONNECT packet ends here; what follows belongs to a client that is not accepted yet. */
  | { kind: 'connect-ends'; at: number }
  | { kind: 'oversize'; bytes: number }
  | { kind: 'malformed' }

export interface PacketGuard {
  inspect(chunk: Uint8Array): GuardVerdict
}

const CONNECT = 1
const PASS: GuardVerdict = { kind: 'pass' }
const MALFORMED: GuardVerdict = { kind: 'malformed' }

/** A packet is one byte of type and flags, one to four bytes of remaining length, seven bits each, and that many bytes. */
export function createPacketGuard(limits: {
  readonly connectBytes: number
  readonly packetBytes: number
}): PacketGuard {
  let connected = false
  let inBody = 0
  let lengthBytes = -1
  let remaining = 0

  /** Takes one byte of a fixed header; a verdict only when it settles the packet's fate. */
  function header(byte: number): GuardVerdict | undefined {
    if (lengthBytes < 0) {
      if (!connected && byte >> 4 !== CONNECT) return MALFORMED
      lengthBytes = 0
      remaining = 0
      return undefined
    }
    if (lengthBytes === 4) return MALFORMED
    remaining += (byte & 0x7f) * 128 ** lengthBytes
    lengthBytes += 1
    const bytes = 1 + lengthBytes + remaining
    if (bytes > (connected ? limits.packetBytes : limits.connectBytes)) return { kind: 'oversize', bytes }
    if (byte & 0x80) return undefined
    inBody = remaining
    lengthBytes = -1
    return undefined
  }

  /** True when the first packet ended: a CONNECT without a body cannot be, but aedes will say so. */
  const connectEnded = (): boolean => {
    if (connected || inBody > 0 || lengthBytes >= 0) return false
    connected = true
    return true
  }

  return {
    inspect(chunk) {
      for (let at = 0; at < chunk.byteLength; ) {
        if (inBody > 0) {
          const taken = Math.min(inBody, chunk.byteLength - at)
          inBody -= taken
          at += taken
        } else {
          const verdict = header(chunk[at] ?? 0)
          if (verdict) return verdict
          at += 1
        }
        if (connectEnded()) return { kind: 'connect-ends', at }
      }
      return PASS
    },
  }
}
