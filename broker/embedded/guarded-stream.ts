// Puts a packet guard between a connection and aedes, without copying its bytes, and takes the waiting out of its writes.
import type { Duplex } from 'node:stream'
import { createPacketGuard, type GuardVerdict } from './packet-guard.ts'
import { createSkipper, type SkippedPublish, type Skipper } from './skipped-publish.ts'

export interface GuardedStream {
  /** The client was accepted: what it sent after CONNECT may be read now. */
  admit(): void
  /** Nothing more is read from this client until then. */
  holdUntil(moment: Promise<void>): void
}

export interface GuardLimits {
  readonly connectBytes: number
  readonly packetBytes: number
  /** A PUBLISH up to this size is skipped and told of; anything larger ends the connection. */
  readonly skippedBytes: number
}

export interface GuardEvents {
  violated(reason: 'oversize' | 'malformed', bytes?: number): void
  skipped(publish: SkippedPublish): void
}

type Judge = (chunk: Buffer) => Buffer | null

/** Turns a chunk from the wire into what aedes may see of it; `putBack` returns bytes to the stream. */
function createJudge(
  limits: GuardLimits,
  events: GuardEvents,
  connectEnded: () => void,
  putBack: (rest: Buffer) => void,
): Judge {
  const guard = createPacketGuard(limits)
  let cut: Buffer | undefined
  let skipper: Skipper | undefined

  /** What is left of the chunk behind the packet being skipped. */
  function skip(chunk: Buffer, current: Skipper): Buffer {
    const rest = chunk.subarray(current.take(chunk))
    if (!current.ended) return rest
    skipper = undefined
    if (current.publish) events.skipped(current.publish)
    else events.violated('malformed')
    return rest
  }

  function startSkipping(chunk: Buffer, verdict: Extract<GuardVerdict, { kind: 'oversize' }>): Buffer | null {
    const { at, headerBytes, bytes, first } = verdict
    skipper = bytes <= limits.skippedBytes ? createSkipper(first, bytes - headerBytes, bytes) : undefined
    if (!skipper) {
      events.violated('oversize', bytes)
      return null
    }
    const rest = chunk.subarray(at + headerBytes)
    if (rest.length > 0) putBack(rest)
    return chunk.subarray(0, at)
  }

  function passed(chunk: Buffer): Buffer | null {
    const verdict = guard.inspect(chunk)
    switch (verdict.kind) {
      case 'pass':
        return chunk
      case 'connect-ends':
        connectEnded()
        if (verdict.at < chunk.length) putBack(chunk.subarray(verdict.at))
        return chunk.subarray(0, verdict.at)
      case 'header-cut':
        cut = chunk.subarray(verdict.at)
        return chunk.subarray(0, verdict.at)
      case 'oversize':
        return startSkipping(chunk, verdict)
      case 'malformed':
        events.violated('malformed')
        return null
    }
  }

  return (fresh) => {
    const chunk = skipper ? skip(fresh, skipper) : cut ? Buffer.concat([cut, fresh]) : fresh
    cut = undefined
    const seen = chunk.length > 0 ? passed(chunk) : null
    return seen && seen.length > 0 ? seen : null
  }
}

/**
 * aedes reads with `read()` and nothing else, so `read` on this one stream is replaced: each chunk is judged before aedes sees
 * it, and after the CONNECT packet nothing comes out until `admit`. At most one chunk (64 KiB) is held meanwhile, the
 * rest waits in the kernel.
 * `write` always answers true: aedes would otherwise hold one of its 100 delivery slots for a slow subscriber until that
 * one drains, and a hundred frozen messages freeze everybody. The bytes that wait are bounded by backlog.ts instead.
 */
export function guardStream(stream: Duplex, limits: GuardLimits, events: GuardEvents): GuardedStream {
  const read = stream.read.bind(stream)
  const { write } = stream
  let admitted = true
  let holds = 0
  const judge = createJudge(
    limits,
    events,
    () => {
      admitted = false
    },
    (rest) => stream.unshift(rest),
  )

  stream.read = (size?: number): Buffer | null => {
    if (!admitted || holds > 0) return null
    const chunk: Buffer | null = read(size)
    return chunk === null ? null : judge(chunk)
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
