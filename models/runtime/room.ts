// The memory for models: whoever is brought in makes others go, and nobody goes while frames of it are in work.

export interface Book {
  /** As guessed, and as measured once it was more. */
  mib: number
  state: 'in' | 'out' | 'leaving'
  /** Frames in work. */
  holders: number
  /** Larger is later. */
  usedAt: number
  emptied?: () => void
}

export interface RoomOptions {
  readonly budgetMiB: number
  /** Answers by how much the process grew, MiB. */
  readonly load: (name: string) => Promise<number>
  readonly unload: (name: string) => Promise<void>
  /** One model alone needs more than the budget. */
  readonly overBudget: (name: string, neededMiB: number) => void
}

export interface Room<B extends Book> {
  /** Rejects with the loader's error. One at a time, with `putOut`. */
  bringIn(name: string, book: B): Promise<void>
  /** Waits until no frame of it is in work. */
  putOut(name: string, book: B): Promise<void>
  inMemory(): readonly [string, B][]
  /** It is used now. */
  touch(book: B): void
  unloads(): number
}

/** Idle ones first, then those that were not used for longest. */
const firstToGo = ([, a]: [string, Book], [, b]: [string, Book]): number =>
  Number(a.holders > 0) - Number(b.holders > 0) || a.usedAt - b.usedAt

export function createRoom<B extends Book>(books: ReadonlyMap<string, B>, options: RoomOptions): Room<B> {
  const { budgetMiB, load, unload, overBudget } = options
  let uses = 0
  let unloads = 0

  const inMemory = (): [string, B][] => [...books].filter(([, { state }]) => state === 'in')

  async function putOut(name: string, book: B): Promise<void> {
    book.state = 'leaving'
    while (book.holders > 0) await new Promise<void>((resolve) => Object.assign(book, { emptied: resolve }))
    await unload(name)
    book.state = 'out'
  }

  async function makeRoom(name: string, wanted: B): Promise<void> {
    for (;;) {
      const others = inMemory().filter(([, book]) => book !== wanted)
      if (others.reduce((sum, [, { mib }]) => sum + mib, wanted.mib) <= budgetMiB) return
      const [oldest] = others.sort(firstToGo)
      if (oldest === undefined) return overBudget(name, wanted.mib)
      unloads += 1
      await putOut(...oldest)
    }
  }

  return {
    async bringIn(name, book) {
      if (book.state === 'in') return
      await makeRoom(name, book)
      const grewMiB = await load(name)
      book.state = 'in'
      book.usedAt = ++uses
      if (grewMiB <= book.mib) return
      // It turned out larger than it was thought to be.
      book.mib = grewMiB
      if (inMemory().length > 1) await makeRoom(name, book)
    },
    putOut,
    inMemory,
    touch(book) {
      book.usedAt = ++uses
    },
    unloads: () => unloads,
  }
}
