// Which models are in memory: as many as the budget holds. The one that was not used for longest makes way, idle ones before
// those with frames in work; a frame for a model that is out waits until it is in again, with all others that wait for it.

import { type Book, createRoom, type RoomOptions } from './room.ts'

export interface Shelf {
  /** Puts a model on the shelf and loads it. Rejects with the loader's error, and then it is not on the shelf. */
  put(name: string, guessMiB: number): Promise<void>
  /** Takes it off for good; resolves when it is out of memory. */
  remove(name: string): Promise<void>
  names(): readonly string[]
  /** Undefined: it is in memory and stays until `release`. Else wait: a reason says why it cannot be had. */
  hold(name: string): undefined | Promise<Held>
  release(name: string): void
  /** It is not in memory any more, and nobody took it out. */
  lost(name: string): void
  /** Runs when nothing is being loaded or unloaded, and nothing is until it has ended; `inMemory` are the models then. */
  quietly<T>(work: (inMemory: readonly string[]) => Promise<T>): Promise<T>
  stats(): { readonly unloads: number; readonly waitedForLoad: number }
}

export type Held = { readonly ok: true } | { readonly ok: false; readonly reason: string }

interface Options extends RoomOptions {
  /** Monotonic milliseconds. */
  readonly elapsed: () => number
}

interface Shelved extends Book {
  /** Frames that will hold it once it is in. */
  waiting: number
  /** Shared by all frames that wait for it: they are run together, or two models would push each other out frame by frame. */
  coming?: Promise<Held> | undefined
  failed?: { readonly reason: string; readonly at: number; readonly waitMs: number } | undefined
}

/** A model that did not load is not tried for every frame, and ever more rarely: it may take the process with it, each time. */
const TRY_AGAIN_MS = { first: 30_000, longest: 10 * 60_000 } as const

export function createShelf({ elapsed, ...options }: Options): Shelf {
  const books = new Map<string, Shelved>()
  const room = createRoom(books, options)
  let turn: Promise<unknown> = Promise.resolve()
  let waitedForLoad = 0

  /** Loads and unloads one after the other: each is decided by what the one before left. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = turn.then(work)
    turn = done.catch(() => {})
    return done
  }

  function take(book: Shelved): void {
    book.holders += 1
    room.touch(book)
  }

  const comeIn = (name: string, book: Shelved): Promise<Held> =>
    inTurn(async (): Promise<Held> => {
      try {
        if (books.get(name) !== book) return { ok: false, reason: 'it is not loaded any more' }
        await room.bringIn(name, book)
        // In this turn, or the next one could push it out again before these frames have run: for ever, with two models.
        book.holders += book.waiting
        book.failed = undefined
        return { ok: true }
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        const waitMs = Math.min(TRY_AGAIN_MS.longest, 2 * (book.failed?.waitMs ?? TRY_AGAIN_MS.first / 2))
        book.failed = { reason, at: elapsed(), waitMs }
        return { ok: false, reason }
      } finally {
        book.waiting = 0
        book.coming = undefined
      }
    })

  function release(name: string): void {
    const book = books.get(name)
    if (book === undefined) return
    book.holders = Math.max(0, book.holders - 1)
    if (book.holders === 0) book.emptied?.()
  }

  return {
    put: (name, guessMiB) =>
      inTurn(async () => {
        const book = books.get(name) ?? { mib: guessMiB, state: 'out', holders: 0, waiting: 0, usedAt: 0 }
        books.set(name, book)
        book.state = 'out'
        try {
          await room.bringIn(name, book)
        } catch (error) {
          books.delete(name)
          throw error
        }
      }),
    remove: (name) =>
      inTurn(async () => {
        const book = books.get(name)
        if (book?.state === 'in') await room.putOut(name, book)
        books.delete(name)
      }),
    names: () => [...books.keys()],
    hold(name) {
      const book = books.get(name)
      if (book === undefined) return Promise.resolve({ ok: false, reason: 'it is not loaded' })
      if (book.state === 'in') return void take(book)
      waitedForLoad += 1
      const { failed } = book
      if (failed && elapsed() - failed.at < failed.waitMs) return Promise.resolve({ ok: false, reason: failed.reason })
      book.waiting += 1
      book.coming ??= comeIn(name, book)
      return book.coming
    },
    release,
    lost(name) {
      const book = books.get(name)
      if (book?.state === 'in') book.state = 'out'
    },
    quietly: (work) => inTurn(() => work(room.inMemory().map(([name]) => name))),
    stats: () => ({ unloads: room.unloads(), waitedForLoad }),
  }
}
