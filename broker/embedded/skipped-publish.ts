// Reads past a PUBLISH that is too large to be taken in, keeping no more of it than its topic: so that its sender can be
// told `too-large` where it waits for an answer, instead of losing its connection without a word.

export interface SkippedPublish {
  readonly topic: string
  /** Of the whole packet. */
  readonly bytes: number
  /** To be acknowledged (QoS 1), or undefined. */
  readonly packetId: number | undefined
}

export interface Skipper {
  /** Swallows what belongs to the packet and returns how many bytes that were. */
  take(chunk: Uint8Array): number
  /** Set once the whole body went by; undefined `publish` when its beginning made no sense. */
  readonly ended: boolean
  readonly publish: SkippedPublish | undefined
}

const PUBLISH = 3
/** Length of the topic, the longest topic anybody may publish to, packet id. */
const HEAD_BYTES = 2 + 256 + 2

function parseHead(head: Buffer, qos: number, bytes: number): SkippedPublish | undefined {
  const topicEnd = head.length < 2 ? Number.POSITIVE_INFINITY : 2 + head.readUInt16BE(0)
  if (qos > 1 || topicEnd + 2 > head.length) return undefined
  return {
    topic: head.toString('utf8', 2, topicEnd),
    bytes,
    packetId: qos === 1 ? head.readUInt16BE(topicEnd) : undefined,
  }
}

/** `first` is the packet's first byte, `bodyBytes` what follows its fixed header. Undefined when it is no PUBLISH. */
export function createSkipper(first: number, bodyBytes: number, bytes: number): Skipper | undefined {
  if (first >> 4 !== PUBLISH) return undefined
  const qos = (first >> 1) & 0b11
  let head = Buffer.alloc(0)
  let left = bodyBytes
  return {
    take(chunk) {
      const taken = Math.min(left, chunk.byteLength)
      left -= taken
      if (head.length < HEAD_BYTES)
        head = Buffer.concat([head, chunk.subarray(0, Math.min(taken, HEAD_BYTES - head.length))])
      return taken
    },
    get ended() {
      return left === 0
    },
    get publish() {
      return parseHead(head, qos, bytes)
    },
  }
}
