// Which release each model was served with last, and which before that: what a board falls back to after a power cut in the
// middle of an update, and what the cache keeps.
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { Last } from './plan.ts'

const Record = z.object({
  models: z.record(z.string(), z.object({ release: z.string(), previous: z.exactOptional(z.string()) })),
  /** By last use, the latest first: an order, not times, which a board without a battery does not know. */
  recent: z.array(z.string()),
})
type Record = z.infer<typeof Record>

const REMEMBERED = 256

export interface ServedRecord {
  last(): ReadonlyMap<string, Last>
  recent(): readonly string[]
  activated(id: string, release: string): void
  /** Nobody wants this id any more: its packages need not be kept. */
  forget(id: string): void
}

/** Replaces a small file. Does not throw. */
export type WriteNote = (file: string, text: string) => void

export function openRecord(file: string, write: WriteNote): ServedRecord {
  const { models, recent } = readRecord(file)
  const last = new Map<string, Last>(Object.entries(models))
  let order = recent

  const save = (): void => write(file, `${JSON.stringify({ models: Object.fromEntries(last), recent: order })}\n`)

  return {
    last: () => last,
    recent: () => order,
    activated(id, release) {
      const before = last.get(id)
      // The same again, after a restart: nothing to write to the card for.
      if (before?.release === release) return
      last.set(id, { release, ...(before && { previous: before.release }) })
      order = [release, ...order.filter((other) => other !== release)].slice(0, REMEMBERED)
      save()
    },
    forget(id) {
      if (last.delete(id)) save()
    },
  }
}

function readRecord(file: string): Record {
  try {
    return Record.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return { models: {}, recent: [] }
  }
}
