// `bramble models publish` and `bramble software publish`: offers the signed release, hands in what the console lacks, and offers it again. Broken off
// anywhere, it is simply run again: what has arrived is not sent twice.
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type ConsoleApi, ConsoleFault } from './console-api.ts'

export interface Publishing {
  readonly api: ConsoleApi
  /** Where it is offered. */
  readonly to: '/api/releases' | '/api/software/releases'
  readonly folder: string
  readonly jws: string
  /** Bytes handed in so far, and how many there are. */
  readonly progress: (sentBytes: number, allBytes: number, path: string) => void
}

export interface Published<V> {
  readonly release: V
  readonly isNew: boolean
  readonly sentBytes: number
}

interface Missing {
  readonly missing: readonly { readonly path: string; readonly sha256: string; readonly bytes: number }[]
}

/** Rejects with ConsoleFault. */
export async function publish<V extends object>({ api, to, folder, jws, progress }: Publishing): Promise<Published<V>> {
  const offer = () => api.ask<V | Missing>(to, { method: 'POST', text: { type: 'application/jose', body: jws } })

  async function handIn(missing: Missing['missing']): Promise<number> {
    const all = missing.reduce((sum, { bytes }) => sum + bytes, 0)
    let sent = 0
    for (const { path, sha256, bytes } of missing) {
      const file = createReadStream(join(folder, path), { highWaterMark: 256 * 1024 })
      file.on('data', (chunk) => {
        sent += chunk.length
        progress(sent, all, path)
      })
      const stream = Readable.toWeb(file) as ReadableStream<Uint8Array>
      await api.ask(`/api/blobs/${sha256}`, { method: 'PUT', bytes: stream, length: bytes })
    }
    return sent
  }

  const first = await offer()
  if (!('missing' in first.body)) return { release: first.body, isNew: first.status === 201, sentBytes: 0 }
  const sentBytes = await handIn(first.body.missing)
  const second = await offer()
  if (!('missing' in second.body)) return { release: second.body, isNew: second.status === 201, sentBytes }
  const [lost] = second.body.missing
  throw new ConsoleFault('refused', `the console still lacks ${lost?.path ?? 'a file'}: publish it again`)
}
