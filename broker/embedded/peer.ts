// One connection of a client to the embedded broker, as the broker's own rules see it.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Principal } from '../protocol/credentials.ts'
import type { Refusal } from './counters.ts'

export interface Peer {
  /** What aedes reads and writes: the socket itself, or a WebSocket stream over it. */
  readonly stream: Duplex
  readonly socket: Socket
  readonly address: string
  username: string
  /** As the client gave it; inside aedes it is `username/clientId`, so that nobody can take over another's session. */
  clientId: string
  /** Set once authenticated. */
  principal: Principal | undefined
  willTopic: string | undefined
  readonly filters: Set<string>
  admit(): void
  /** Nothing more is read from this client until then. */
  holdUntil(moment: Promise<void>): void
  /** Ends the connection, counted under the reason and logged. */
  end(reason: Refusal, detail?: object): void
}

/** Bytes written for this peer that have not left the process. */
export const unsentBytes = ({ stream, socket }: Peer): number =>
  stream === socket ? socket.writableLength : stream.writableLength + socket.writableLength

/**
 * Changes whenever a byte leaves the process. libuv's queue length is the only thing that moves while one large write is
 * under way; Node reads it in the same way for its own socket timeouts.
 */
export function sendProgress(socket: Socket): string {
  const handle: unknown = Reflect.get(socket, '_handle')
  const queued = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'writeQueueSize') : 0
  return `${socket.bytesWritten - socket.writableLength}/${queued}`
}
