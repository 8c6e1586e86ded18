// The files that are being sent to boards, so many at a time. A board that vanished in the middle holds its places until TCP gives
// up, which takes a quarter of an hour: its own next one ends its oldest, and where all are taken, one that stands still goes.
import type { ReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'

/** Each holds a file open and a piece of it in memory. */
const MAX_STREAMS = 128
const MAX_STREAMS_OF_BOARD = 4
/** Of a board on the slowest of uplinks a piece goes out sooner than this. */
const STILL_MS = 60_000

interface Stream {
  readonly device: string
  readonly file: ReadStream
  /** When it was last read from. */
  readAt: number
}

export interface Streams {
  /** Undefined when all places are taken; then no file was opened. */
  open(device: string, file: () => ReadStream): ReadableStream | undefined
}

export function createStreams(now: () => number): Streams {
  /** Oldest first. */
  const streams = new Set<Stream>()

  function end(stream: Stream): void {
    streams.delete(stream)
    stream.file.destroy()
  }

  function makeRoom(device: string): boolean {
    const own = [...streams].filter((stream) => stream.device === device)
    if (own[0] && own.length >= MAX_STREAMS_OF_BOARD) end(own[0])
    if (streams.size < MAX_STREAMS) return true
    const [stillest] = [...streams].sort((a, b) => a.readAt - b.readAt)
    if (stillest === undefined || now() - stillest.readAt < STILL_MS) return false
    end(stillest)
    return true
  }

  return {
    open(device, open) {
      if (!makeRoom(device)) return undefined
      const file = open()
      const stream: Stream = { device, file, readAt: now() }
      streams.add(stream)
      // However it ends: read to the end, cut by the board, or failed on the disk.
      file.once('close', () => streams.delete(stream))
      const web = Readable.toWeb(file)
      file.on('data', () => {
        stream.readAt = now()
      })
      return web
    },
  }
}
