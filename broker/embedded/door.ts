// The embedded broker's open sockets: who comes in at all, and who is in but has not yet said who it is.
import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import type { Admission } from './admission.ts'
import type { Counters } from './counters.ts'

export interface Door {
  readonly open: number
  /** False: the connection was refused and is gone. */
  enter(socket: Socket): boolean
  isPending(socket: Socket): boolean
  /** The client on this socket was authenticated. */
  admitted(socket: Socket): void
  destroyAll(): void
}

export function createDoor(admission: Admission, counters: Counters, log: Logger): Door {
  const sockets = new Set<Socket>()
  const pending = new Set<Socket>()
  return {
    get open() {
      return sockets.size
    },
    enter(socket) {
      const address = socket.remoteAddress ?? 'unknown'
      socket.on('error', (error) => log.debug({ address, reason: error.message }, 'a socket failed'))
      const refusal = admission.refusal(address, sockets.size, pending.size)
      if (refusal) {
        counters.refused[refusal] += 1
        socket.destroy()
        return false
      }
      counters.accepted += 1
      sockets.add(socket)
      pending.add(socket)
      socket.on('close', () => {
        sockets.delete(socket)
        pending.delete(socket)
      })
      return true
    },
    isPending: (socket) => pending.has(socket),
    admitted: (socket) => void pending.delete(socket),
    destroyAll() {
      for (const socket of sockets) socket.destroy()
    },
  }
}
