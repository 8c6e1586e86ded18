// The write-ahead log of buffer.db from beside SQLite, which would wait for the disk in every commit and let everything else wait
// too: on a card that is often 20 ms, and a second while the card tidies up. Here the waiting is done by another thread.
import { closeSync, fdatasync, fdatasyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import Database from 'better-sqlite3'

/** node:fs.fdatasync, as much of it as is needed. */
export type SyncFile = (fd: number, done: (error: Error | null) => void) => void

export interface LogFile {
  /** Calls `done` when the disk has answered, unless the log was closed. After an error it is for `makeSure` to mend. */
  sync(done: (error: Error | null) => void): void
  /**
   * To be called before anything is written, and before anything that was written is shown. Where the disk failed, and of what an
   * earlier process left, nobody knows whether it is there: Linux takes what it could not write for written, and a second sync
   * succeeds without it. So all of it is written once more, and this waits for the disk. Throws what the disk says, and SqliteError
   * `SQLITE_CORRUPT` when it does not read as it was written: then the log ends there, so that nobody copies that into the database.
   */
  makeSure(): void
  close(): void
}

// https://sqlite.org/fileformat2.html#the_write_ahead_log
const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24
const LITTLE_ENDIAN_SUMS = 0x377f0682

/** Of the database `file`, which is open: SQLite makes its log then, keeps it until it is closed, and has no locks on it. */
export function openLogFile(file: string, db: Database.Database, syncFile: SyncFile = fdatasync): LogFile {
  const fd = openSync(`${file}-wal`, 'r+')
  const frameBytes = FRAME_HEADER_BYTES + Number(db.pragma('page_size', { simple: true }))
  let isSure = false
  let isSyncing = false
  let isClosed = false

  function rewrite(): void {
    const frames = framesIn(db)
    if (frames === 0) return
    const log = Buffer.alloc(HEADER_BYTES + frames * frameBytes)
    readSync(fd, log, 0, log.length, 0)
    const whole = wholeBytes(log, frameBytes)
    if (whole < log.length) {
      ftruncateSync(fd, whole)
      throw new Database.SqliteError('the log does not read as it was written', 'SQLITE_CORRUPT')
    }
    for (let at = 0; at < log.length; ) at += writeSync(fd, log, at, log.length - at, at)
    fdatasyncSync(fd)
  }

  return {
    sync(done) {
      isSyncing = true
      syncFile(fd, (error) => {
        isSyncing = false
        if (error) isSure = false
        if (isClosed) closeSync(fd)
        else done(error)
      })
    },
    makeSure() {
      if (!isSure) rewrite()
      isSure = true
    },
    close() {
      if (!isSyncing && !isClosed) closeSync(fd)
      isClosed = true
    },
  }
}

/** What was committed since the log was last copied into the database. */
function framesIn(db: Database.Database): number {
  const [state] = db.pragma('wal_checkpoint(NOOP)') as { log: number }[]
  return Math.max(0, state?.log ?? 0)
}

/** The header ends with its own sum, each frame's header with the sum of all before it and of its page. */
function wholeBytes(log: Buffer, frameBytes: number): number {
  // The sums go by the byte order of the machine that made them: all that this runs on have the same.
  if (log.readUInt32BE(0) !== LITTLE_ENDIAN_SUMS) return 0
  const words = new Uint32Array(log.buffer, log.byteOffset, log.length / 4)
  let [first, second] = [0, 0]
  function add(from: number, to: number): void {
    for (let at = from >> 2; at < to >> 2; at += 2) {
      first = (first + (words[at] ?? 0) + second) >>> 0
      second = (second + (words[at + 1] ?? 0) + first) >>> 0
    }
  }
  const isSum = (at: number): boolean => log.readUInt32BE(at) === first && log.readUInt32BE(at + 4) === second
  add(0, 24)
  if (!isSum(24)) return 0
  let at = HEADER_BYTES
  for (; at < log.length; at += frameBytes) {
    add(at, at + 8)
    add(at + FRAME_HEADER_BYTES, at + frameBytes)
    if (!isSum(at + 16)) break
  }
  return at
}
