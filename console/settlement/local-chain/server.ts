// HTTP and WebSocket in front of the local chain: both on one port, and WebSocket on the next one too, where
// @solana/web3.js looks for it.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import { type WebSocket, WebSocketServer } from 'ws'
import { ChainError } from '../chain-error.ts'
import type { Chain } from './chain.ts'
import { createDispatch, type Dispatch } from './rpc/dispatch.ts'
import { createSubscriptions, type Subscriptions } from './rpc/subscriptions.ts'

/** A node takes 50 KiB; a full batch of the largest transactions needs more. */
const MAX_BODY_BYTES = 256 * 1024
const MAX_MESSAGE_BYTES = 64 * 1024
const MAX_SOCKETS = 256
/** A subscriber that does not read is let go before it costs memory. */
const MAX_UNREAD_BYTES = 1024 * 1024

export interface ChainServer {
  readonly port: number
  readonly wsPort: number
  close(): Promise<void>
}

const listen = (server: Server, host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.closeAllConnections()
    server.close(() => resolve())
  })

const isTaken = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EADDRINUSE'

/** Two neighbouring ports; with 0, any free pair. ChainError `port-taken` names the one that is not free. */
async function listenPair(make: () => readonly [Server, Server], host: string, port: number) {
  for (let tries = port === 0 ? 20 : 1; ; tries--) {
    const [first, second] = make()
    let wanted = port
    try {
      wanted = await listen(first, host, port)
      const chosen = wanted++
      await listen(second, host, wanted)
      return { first, second, port: chosen }
    } catch (error) {
      await closed(first)
      if (!isTaken(error) && wanted <= 65_535) throw error
      if (tries <= 1)
        throw new ChainError(
          'port-taken',
          `port ${wanted} is taken; choose another chain port (it and the next are used)`,
          {
            cause: error,
          },
        )
    }
  }
}

/** The body, or undefined once it is over the limit. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const reply = (response: ServerResponse, status: number, type: string, text: string): void => {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text)
}

const refuse = (response: ServerResponse, status: number, sentence: string): void => {
  // What the client is still sending is not read to its end.
  response.setHeader('connection', 'close')
  reply(response, status, 'text/plain', sentence)
}

async function answerHttp(dispatch: Dispatch, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'GET' && request.url === '/health') return reply(response, 200, 'text/plain', 'ok')
  if (request.method !== 'POST') return refuse(response, 405, 'Used HTTP Method is not allowed. POST is required')
  // A browser may not send this type to a foreign origin without asking first, and is then refused (no CORS headers).
  if (!request.headers['content-type']?.startsWith('application/json'))
    return refuse(response, 415, 'Supplied content type is not allowed. Content-Type: application/json is required')
  const body = await bodyOf(request)
  if (body === undefined) return refuse(response, 413, `The request is larger than ${MAX_BODY_BYTES} bytes`)
  const text = dispatch(body)
  if (text === undefined) response.writeHead(204).end()
  else reply(response, 200, 'application/json', text)
}

function createSocketSide(chain: Chain, log: Logger) {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false })
  const open = new Map<WebSocket, Subscriptions>()
  let lastId = 0

  const accept = (socket: WebSocket): void => {
    if (open.size >= MAX_SOCKETS) {
      socket.close(1013, 'too many connections')
      return
    }
    const send = (text: string): void => {
      if (socket.bufferedAmount > MAX_UNREAD_BYTES) socket.terminate()
      else socket.send(text)
    }
    const subscriptions = createSubscriptions(chain, () => ++lastId, send)
    const dispatch = createDispatch(subscriptions.methods, log)
    open.set(socket, subscriptions)
    socket.on('message', (data) => {
      const text = dispatch(data.toString())
      if (text !== undefined) send(text)
      // A signature that is already there is announced at once.
      subscriptions.tick()
    })
    socket.on('close', () => open.delete(socket))
    socket.on('error', (error) => log.debug({ err: error }, 'a WebSocket client of the local chain failed'))
  }

  const timer = setInterval(() => {
    for (const subscriptions of open.values()) if (subscriptions.size > 0) subscriptions.tick()
  }, chain.slotMs)
  timer.unref()
  return {
    attach: (server: Server): void => {
      server.on('upgrade', (request, socket, head) => sockets.handleUpgrade(request, socket, head, accept))
    },
    close(): void {
      clearInterval(timer)
      for (const socket of open.keys()) socket.terminate()
      sockets.close()
    },
  }
}

/** Serves the chain; `port` 0 finds a free pair of neighbouring ports. */
export async function serveChain(options: {
  readonly chain: Chain
  readonly dispatch: Dispatch
  readonly host: string
  readonly port: number
  readonly log: Logger
}): Promise<ChainServer> {
  const { chain, dispatch, host, port: wanted, log } = options
  const socketSide = createSocketSide(chain, log)
  const makeServer = (): Server => {
    const server = createServer((request, response) => {
      answerHttp(dispatch, request, response).catch((error: unknown) => {
        log.debug({ err: error }, 'an HTTP client of the local chain went away')
        response.destroy()
      })
    })
    socketSide.attach(server)
    return server
  }
  try {
    const { first, second, port } = await listenPair(() => [makeServer(), makeServer()], host, wanted)
    const close = async (): Promise<void> => {
      socketSide.close()
      await Promise.all([closed(first), closed(second)])
    }
    return { port, wsPort: port + 1, close }
  } catch (error) {
    socketSide.close()
    throw error
  }
}
