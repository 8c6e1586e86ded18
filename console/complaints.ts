// Messages that made no sense, counted by what was wrong and logged once per sender and kind: a broken client that
// repeats itself a thousand times a second fills no disk.
import type { Logger } from 'pino'

/** Ids are chosen by senders, so what is remembered of them has an end. */
const MAX_REMEMBERED = 10_000

export interface Complaints {
  add(sender: string, what: string): void
  totals(): Readonly<Record<string, number>>
}

export function createComplaints(log: Logger): Complaints {
  const counts = new Map<string, number>()
  const told = new Set<string>()
  return {
    add(sender, what) {
      counts.set(what, (counts.get(what) ?? 0) + 1)
      const key = `${sender} ${what}`
      if (told.has(key) || told.size >= MAX_REMEMBERED) return
      told.add(key)
      log.warn({ sender, what }, 'a message was ignored; more of the same from this sender are only counted')
    },
    totals: () => Object.fromEntries(counts),
  }
}
