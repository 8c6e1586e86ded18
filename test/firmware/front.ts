// An address before a real console at which boards ask: it hands everything on, and adds what the console is to say of software.
import { createReadStream, readFileSync } from 'node:fs'
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Desired, digestOfRelease } from '../../broker/protocol/packages.ts'
import { SoftwareRelease } from '../../broker/protocol/software.ts'
import { RELEASE_FILE } from '../../firmware-scripts/release/signing.ts'

type Wish = NonNullable<Desired['software']>

export async function startFront(behind: string) {
  const releases = new Map<string, string>()
  const blobs = new Map<string, { readonly file: string; readonly bytes: number }>()
  const tampered = new Map<string, string>()
  let wish: Wish | undefined

  const handOn = (request: IncomingMessage, then: (answer: IncomingMessage) => void): void => {
    const { pathname, search } = new URL(request.url ?? '/', behind)
    const { method, headers } = request
    const onward = ask(new URL(pathname + search, behind), { ...(method && { method }), headers }, then)
    onward.on('error', () => request.destroy())
    request.pipe(onward)
  }

  async function desired(answer: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks = await Array.fromAsync(answer as AsyncIterable<Buffer>)
    const text = Buffer.concat(chunks).toString()
    if (answer.statusCode !== 200) return void response.writeHead(answer.statusCode ?? 502).end(text)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ ...JSON.parse(text), ...(wish && { software: wish }) }))
  }

  function blob(name: string, { range }: IncomingMessage['headers'], response: ServerResponse): void {
    const { file, bytes } = blobs.get(name)!
    const wrong = tampered.get(name)
    if (wrong !== undefined) return void response.end(wrong)
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
    const part = { 'content-length': bytes - start, 'content-range': `bytes ${start}-${bytes - 1}/${bytes}` }
    response.writeHead(start > 0 ? 206 : 200, start > 0 ? part : { 'content-length': bytes })
    createReadStream(file, { start }).pipe(response)
  }

  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', behind)
    const name = pathname.split('/').at(-1) ?? ''
    const jws = releases.get(name)
    if (pathname === '/boards/desired' && searchParams.has('arch'))
      return handOn(request, (answer) => void desired(answer, response))
    if (jws !== undefined) return void response.end(jws)
    if (blobs.has(name)) return blob(name, request.headers, response)
    handOn(request, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** A folder as `npm run firmware:release` leaves it. */
    offer(folder: string): Wish {
      const jws = readFileSync(join(folder, RELEASE_FILE), 'utf8').trim()
      const { version, files } = SoftwareRelease.parse(
        JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()),
      )
      releases.set(digestOfRelease(jws), jws)
      for (const { path, sha256, bytes } of files) blobs.set(sha256, { file: join(folder, path), bytes })
      return { version, release: digestOfRelease(jws) }
    },
    want(software: Wish | undefined): void {
      wish = software
    },
    /** These bytes come instead of the file with this digest. */
    tamper(sha256: string, text: string): void {
      tampered.set(sha256, text)
    },
    async close(): Promise<void> {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
export type Front = Awaited<ReturnType<typeof startFront>>
