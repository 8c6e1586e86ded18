// A TCP proxy that can do what networks do: cut its connections, stop carrying anything without saying so, or lose what one side
// says.
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'
import { Transform } from 'node:stream'

export interface Proxy {
  readonly port: number
  /** Ends every connection as a reset does. */
  cut(): void
  /** Connections stay and carry nothing more, in neither direction; later ones are carried. */
  freeze(): void
  /** What is published through it is lost (or is not any more); all else is carried, and all that is said to the publisher. */
  mute(on: boolean): void
  close(): Promise<void>
}

/** `target` is asked at each connection; undefined: there is nothing to connect to. */
export async function startProxy(target: () => number | undefined): Promise<Proxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let muted = false
  const server = createServer((near) => {
    const port = target()
    if (port === undefined) return void near.resetAndDestroy()
    const far = connect(port, '127.0.0.1')
    const pair = [near, far] as const
    pairs.add(pair)
    near.pipe(createStrainer(() => muted)).pipe(far)
    far.pipe(near)
    for (const socket of pair) {
      socket.on('error', () => undefined)
      socket.on('close', () => {
        pairs.delete(pair)
        for (const other of pair) other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = (): void => {
    for (const [near, far] of pairs) {
      near.resetAndDestroy()
      far.destroy()
    }
  }
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    freeze() {
      for (const [near, far] of pairs) {
        near.unpipe()
        far.unpipe()
        near.pause()
        far.pause()
      }
    },
    mute(on) {
      muted = on
    },
    close() {
      cut()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

const PUBLISH = 3

/** Length of the first MQTT packet in the bytes, or undefined while that cannot be told. */
function lengthOf(bytes: Buffer): number | undefined {
  let body = 0
  for (let at = 1; at < 5; at += 1) {
    const digit = bytes[at]
    if (digit === undefined) return undefined
    body += (digit & 127) * 128 ** (at - 1)
    if (digit < 128) return at + 1 + body
  }
  throw new Error('not an MQTT packet')
}

/** Lets MQTT packets through, PUBLISH only while not muted. */
function createStrainer(isMuted: () => boolean): Transform {
  let rest = Buffer.alloc(0)
  return new Transform({
    transform(chunk: Buffer, _, done) {
      rest = Buffer.concat([rest, chunk])
      for (let length = lengthOf(rest); length !== undefined && length <= rest.byteLength; length = lengthOf(rest)) {
        const packet = rest.subarray(0, length)
        rest = rest.subarray(length)
        if (!isMuted() || (packet[0] ?? 0) >> 4 !== PUBLISH) this.push(packet)
      }
      done()
    },
  })
}
