// Puts a packet guard between a connection and aedes, without copying a byte, and takes the waiting out of its writes.
import type { Duplex } from 'node:stream'
import { createPacketGuard, type GuardVerdict } from './packet-guard.ts'

export interface GuardedStream {
  /** The client was accepted: what it sent after CONNECT may be read now. */
  admit(): void
  /** Nothing more is read from this client until then. */
  holdUntil(moment: Promise<void>): void
}

/**
 * aedes reads with `read()` and nothing else, so `read` on this one stream is replaced: each chunk is judged before aedes sees
 * it, and after the CONNECT packet nothing comes out until `admit`. At most one chunk (64 KiB) is held meanwhile, the
 * rest waits in the kernel.
 * `write` always answers true: aedes would otherwise hold one of its 100 delivery slots for a slow subscriber until that
 * one drains, and a hundred frozen messages freeze everybody. The bytes that wait are bounded by backlog.ts instead.
 */
export function guardStream(
  stream: Duplex,
  limits: { readonly connectBytes: number; readonly packetBytes: number },
  onViolation: (verdict: Exclude<GuardVerdict, { kind: 'pass' | 'connect-ends' }>) => void,
): GuardedStream {
  const guard = createPacketGuard(limits)
  const read = stream.read.bind(stream)
  const { write } = stream
  let admitted = true
  let holds = 0

  stream.read = (size?: number): Buffer | null => {
    if (!admitted || holds > 0) return null
    const chunk: Buffer | null = read(size)
    if (chunk === null) return null
    const verdict = guard.inspect(chunk)
    switch (verdict.kind) {
      case 'pass':
        return chunk
      case 'connect-ends':
        admitted = false
        if (verdict.at < chunk.byteLength) stream.unshift(chunk.subarray(verdict.at))
        return chunk.subarray(0, verdict.at)
      default:
        onViolation(verdict)
        return null
    }
  }
  stream.write = (...args: readonly unknown[]): boolean => {
    Reflect.apply(write, stream, args)
    return true
  }
  return {
    admit() {
      // aedes reads again by itself once it has sent its CONNACK.
      admitted = true
    },
    holdUntil(moment) {
      holds += 1
      void moment.then(() => {
        holds -= 1
        if (holds === 0 && !stream.destroyed) stream.emit('readable')
      })
    },
  }
}
