// Outboxes that could not be used: kept beside the new one under a dated name, because a person may still read them, but
// only so many that they never fill the card, and told to the owner for as long as they are there.
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

export interface SetAside {
  readonly file: string
  readonly reason: 'damaged' | 'other-device'
  /** Older ones that had to go for it. */
  readonly removed: readonly string[]
}

const KEPT = 3
const PARTS = ['', '-wal', '-shm'] as const

/** Moves `file` away and makes room: the oldest of more than three, or of more than `capBytes` together, are deleted. */
export function setAside(file: string, reason: SetAside['reason'], at: number, capBytes: number): SetAside {
  const aside = `${file}.${reason}-${new Date(at).toISOString().replaceAll(/[:.]/g, '-')}`
  for (const part of PARTS) if (existsSync(file + part)) renameSync(file + part, aside + part)
  return { file: aside, reason, removed: prune(file, aside, capBytes) }
}

/** Newest first; the dates in their names sort like time. */
const listAside = (file: string): string[] =>
  readdirSync(dirname(file))
    .filter((name) => name.startsWith(`${basename(file)}.`) && /\.(damaged|other-device)-[\dTZ-]+$/.test(name))
    .sort((a, b) => dateOf(b).localeCompare(dateOf(a)))
    .map((name) => join(dirname(file), name))

const dateOf = (name: string): string => /\d{4}-[\dTZ-]+$/.exec(name)?.[0] ?? ''

const bytesOf = (aside: string): number =>
  PARTS.reduce((sum, part) => sum + (statSync(aside + part, { throwIfNoEntry: false })?.size ?? 0), 0)

/** The newest is kept whatever its size and whatever the clock says: it is the one nobody has looked at yet. */
function prune(file: string, newest: string, capBytes: number): string[] {
  let bytes = bytesOf(newest)
  return listAside(file)
    .filter((aside) => aside !== newest)
    .filter((aside, index) => {
      bytes += bytesOf(aside)
      const goes = index + 2 > KEPT || bytes > capBytes
      if (goes) for (const part of PARTS) rmSync(aside + part, { force: true })
      return goes
    })
}

/** One sentence for each that is still there, newest first: what happened, what it means, and how to be done with it. */
export function noticesOf(file: string): string[] {
  return listAside(file).map((aside) => {
    const day = dateOf(basename(aside)).slice(0, 10)
    const cause = basename(aside).includes('.damaged-') ? 'was damaged' : 'belonged to another device id'
    return `On ${day} the outbox ${cause} and was set aside as ${basename(aside)}: answers and receipts in it that the console did not have are lost to it. A new outbox works since then; delete the file to clear this notice.`
  })
}
