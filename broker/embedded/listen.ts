// Opens the broker's ports: plain TCP, and WebSocket for browsers and for networks that let nothing else through.
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { BrokerError } from './limits.ts'

/** A client may switch MQTT's own keepalive off; the kernel then finds out that it is gone. */
const KEEPALIVE_MS = 60_000

/** False: the connection was refused and is gone. */
export type Enter = (socket: Socket) => boolean
export type Serve = (stream: Duplex, socket: Socket) => void

function brokerError(error: NodeJS.ErrnoException, host: string, port: number): unknown {
  const where = `port ${port} on ${host}`
  switch (error.code) {
    case 'EADDRINUSE':
      return new BrokerError('port-taken', `${where} is taken: stop the program that uses it or choose another port`, {
        cause: error,
      })
    case 'EACCES':
      return new BrokerError('not-permitted', `${where} needs more rights: choose a port above 1023`, { cause: error })
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new BrokerError('bad-address', `${host} is not an address of this machine`, { cause: error })
    default:
      return error
  }
}

const listening = (server: Server, host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', (error) => reject(brokerError(error, host, port)))
    server.listen({ host, port, backlog: 1024 }, () => {
      server.removeAllListeners('error')
      resolve((server.address() as AddressInfo).port)
    })
  })

/** A listener on all addresses is reached by loopback. */
export function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

export interface Listener {
  readonly port: number
  close(): Promise<void>
}

const listenerOf = (server: Server, port: number): Listener => ({
  port,
  close: () => new Promise((resolve) => server.close(() => resolve())),
})

export async function listenTcp(host: string, port: number, enter: Enter, serve: Serve): Promise<Listener> {
  const server = createTcpServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS }, (socket) => {
    if (enter(socket)) serve(socket, socket)
  })
  return listenerOf(server, await listening(server, host, port))
}

export interface WebSocketLimits {
  readonly packetBytes: number
  readonly connectMs: number
}

/** Subprotocol `mqtt` (MQTT-6.0.0-3); a message may hold part of a packet or several, so the packet guard stays behind it. */
export async function listenWebSocket(
  host: string,
  port: number,
  limits: WebSocketLimits,
  enter: Enter,
  serve: Serve,
): Promise<Listener> {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: limits.packetBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has('mqtt') ? 'mqtt' : false),
  })
  const server: HttpServer = createHttpServer({ noDelay: true, headersTimeout: limits.connectMs }, (_, response) => {
    response
      .writeHead(426, { connection: 'close', upgrade: 'websocket' })
      .end('This port speaks MQTT over WebSocket.\n')
  })
  server.on('connection', (socket: Socket) => enter(socket))
  server.on('upgrade', (request, socket, head) => {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
    if (!offered.includes('mqtt')) return void socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const stream = createWebSocketStream(webSocket)
      // A message over maxPayload or a protocol fault arrives here; the stream is closed by ws itself.
      stream.on('error', () => stream.destroy())
      serve(stream, request.socket)
    })
  })
  return listenerOf(server, await listening(server, host, port))
}
