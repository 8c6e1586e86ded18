// The console's listening socket: starts or says in one sentence why not, and stops without waiting for idle clients.
import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'

export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly code: 'port-taken' | 'not-listening'

  constructor(code: HttpError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface HttpServer {
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

export interface HttpOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly fetch: (request: Request, env: unknown) => Response | Promise<Response>
}

const explain = (error: NodeJS.ErrnoException, { host, port }: HttpOptions): HttpError =>
  error.code === 'EADDRINUSE'
    ? new HttpError(
        'port-taken',
        `port ${port} is taken on ${host}: stop who has it, or choose another with --http`,
        error,
      )
    : new HttpError('not-listening', `cannot listen on ${host}:${port} (${error.message})`, error)

/** An address as it stands in a URL; the one that means "all interfaces" is reached over loopback from here. */
export function addressOf(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

/** Rejects with HttpError. */
export async function listenHttp(options: HttpOptions): Promise<HttpServer> {
  const server = createAdaptorServer({ fetch: options.fetch }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(explain(error, options)))
    server.listen(options.port, options.host, resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : options.port
  return {
    url: `http://${addressOf(options.host)}:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        // Event streams and kept-alive connections would hold the process open.
        server.closeAllConnections()
      }),
  }
}
