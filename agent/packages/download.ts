// One file of a release, from the console to the disk: resumed where it broke off, never longer than the release says, and
// not believed before the bytes on the disk have the promised digest. Nothing of it is kept in memory.

import { open, rm, stat, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { PACKAGE_PATHS, type ReleaseFile } from '../../broker/protocol/packages.ts'
import { digestOfFile } from '../../models/file-digest.ts'
import { openHttp, reasonOf } from '../membership/http.ts'
import { codeOf } from '../private-file.ts'
import { type ConsoleAccess, faultOf, headersOf } from './desired.ts'
import { PackageFault } from './fault.ts'

/** Silence after which the other side is taken for dead. */
const SILENCE_MS = 30_000
/** A request that takes longer is cut and resumed, so that a dribbling line does not hold up the next package for ever. */
const REQUEST_MS = 10 * 60_000

export interface Download {
  readonly console: ConsoleAccess
  readonly file: Pick<ReleaseFile, 'path' | 'sha256' | 'bytes'>
  /** Where the bytes are collected; what is there already is not asked for again. */
  readonly part: string
  readonly signal: AbortSignal
  /** Bytes of the file that are on the disk now. */
  readonly arrived: (bytes: number) => void
  /** Waits while the board has better things to do. */
  readonly breathe: () => Promise<void>
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  )

/** Resolves when `part` holds the promised bytes, on the disk. Rejects with PackageFault; what came so far stays for the next try. */
export async function download(options: Download): Promise<void> {
  const { file, part } = options
  // Removed, not cut: the part may be a second name of a file in another package.
  if ((await sizeOf(part)) > file.bytes) await rm(part)
  if (file.bytes === 0) await writeFile(part, '')
  if ((await sizeOf(part)) < file.bytes) await fetchRest(options)
  await believe(part, file)
}

/** Rejects, and removes the part, unless it has the promised bytes. */
export async function believe(part: string, { path, sha256, bytes }: Download['file']): Promise<void> {
  const found = await digestOfFile(part, bytes)
  if (found.sha256 === sha256) return
  await rm(part, { force: true })
  throw new PackageFault('wrong-bytes', `${path} came with sha256 ${found.sha256}, the release says ${sha256}`)
}

async function fetchRest(options: Download): Promise<void> {
  const { console, file, part, signal } = options
  const have = await sizeOf(part)
  const limited = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)])
  const headers = { ...headersOf(console), ...(have > 0 && { range: `bytes=${have}-` }) }
  try {
    const target = new URL(PACKAGE_PATHS.blob(file.sha256), console.url)
    const response = await openHttp(target, { headers, signal: limited, silenceMs: SILENCE_MS })
    try {
      await receive(response, have, options)
    } finally {
      response.destroy()
    }
  } catch (error) {
    // Whoever sends too much has sent other bytes from the start.
    if (error instanceof PackageFault && error.code === 'wrong-bytes') await rm(part, { force: true })
    if (error instanceof PackageFault) throw error
    if (isFull(error))
      throw new PackageFault('no-room', `the disk is full after ${await sizeOf(part)} bytes of ${file.path}`)
    const got = `after ${await sizeOf(part)} of ${file.bytes} bytes`
    throw new PackageFault('unreachable', `${file.path} broke off ${got} (${reasonOf(error)})`, error)
  }
}

const isFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(String(codeOf(error)))

async function receive(response: IncomingMessage, have: number, options: Download): Promise<void> {
  const { file, part, arrived, breathe } = options
  const from = await startOf(response, have, options)
  if (from === 0) await rm(part, { force: true })
  const disk = await open(part, 'a', 0o600)
  let at = from
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (at + chunk.byteLength > file.bytes) throw tooLong(file)
      // A write may take less than all of it.
      for (let done = 0; done < chunk.byteLength; ) done += (await disk.write(chunk, done)).bytesWritten
      at += chunk.byteLength
      arrived(at)
      await breathe()
    }
    if (at === file.bytes) await disk.sync()
  } finally {
    await disk.close()
  }
  if (at < file.bytes)
    throw new PackageFault('unreachable', `${file.path} broke off after ${at} of ${file.bytes} bytes`)
}

const tooLong = ({ path, bytes }: Download['file']): PackageFault =>
  new PackageFault('wrong-bytes', `${path} is longer than the ${bytes} bytes that the release says`)

/** Where in the file the answer begins: where it was asked to, or at 0. Anything else is refused before a byte is written. */
async function startOf({ statusCode = 0, headers }: IncomingMessage, have: number, { console, file, part }: Download) {
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity')
    throw new PackageFault('bad-answer', `${file.path} came as ${encoding}, which was not asked for`)
  // 416: there is nothing after what is here, so what is here is wrong.
  if (statusCode === 416) await rm(part, { force: true })
  if (statusCode !== 200 && statusCode !== 206) throw faultOf(console.url, statusCode)
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers['content-range'] ?? '')
  const from = statusCode === 206 ? have : 0
  if (statusCode === 206 && (Number(range?.[1]) !== have || Number(range?.[3]) !== file.bytes))
    throw new PackageFault('bad-answer', `${file.path}: asked for bytes from ${have}, got ${headers['content-range']}`)
  const length = headers['content-length']
  if (length !== undefined && Number(length) > file.bytes - from) throw tooLong(file)
  return from
}
