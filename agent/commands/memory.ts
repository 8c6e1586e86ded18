// Which commands came, and what was answered: a command that comes again is answered from here.

export interface Remembered {
  readonly promise: Promise<string>
}

export interface Memory {
  answerTo(name: string, id: string): Remembered | undefined
  remember(name: string, id: string, made: { readonly expiresAt: number; readonly answer: Promise<string> }): Remembered
}

/** Ids are remembered until their command has expired, but no more than this many: who sends more is no console. */
const MAX_IDS = 1_000
/** Characters of answers kept; of older ones only is known that they were given. */
const MAX_CHARS = 512 * 1024

const FORGOTTEN = JSON.stringify({
  ok: false,
  error: { code: 'failed', message: 'this command was done and answered; the answer is not kept any more' },
})

interface Entry extends Remembered {
  readonly expiresAt: number
  promise: Promise<string>
  chars: number
}

export function createMemory(now: () => number): Memory {
  /** Oldest first. */
  const entries = new Map<string, Entry>()
  let chars = 0

  function forget(key: string, entry: Entry): void {
    chars -= entry.chars
    entries.delete(key)
  }

  function makeRoom(): void {
    for (const [key, entry] of entries) if (entry.expiresAt <= now() || entries.size > MAX_IDS) forget(key, entry)
    for (const entry of entries.values()) {
      if (chars <= MAX_CHARS) return
      if (entry.chars === 0) continue
      chars -= entry.chars
      entry.chars = 0
      entry.promise = Promise.resolve(FORGOTTEN)
    }
  }

  return {
    answerTo: (name, id) => entries.get(`${name}/${id}`),
    remember(name, id, { expiresAt, answer }) {
      makeRoom()
      const entry: Entry = { expiresAt, promise: answer, chars: 0 }
      entries.set(`${name}/${id}`, entry)
      void answer.then((text) => {
        if (entries.get(`${name}/${id}`) !== entry) return
        entry.chars = text.length
        chars += text.length
        makeRoom()
      })
      return entry
    },
  }
}
