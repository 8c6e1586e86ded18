// Limits a log by cause: what says the same thing again and again is written a few times a minute and then only counted, so
// that a fault that repeats itself neither fills a card nor pushes everything else out of the last 500 lines; and one that goes on
// for days is told of ever more rarely.

export interface Causes {
  /** Whether a line that says `cause` may be written now. */
  may(cause: string): boolean
  /** Ends the minute now. */
  flush(): void
}

interface Options {
  /** Milliseconds that never jump. */
  readonly elapsed: () => number
  readonly after: (delayMs: number, then: () => void) => () => void
  /** Says how many more there were. */
  readonly tell: (cause: string, more: number) => void
}

/** Lines of one cause in one minute. */
export const LINES_PER_CAUSE = 10
const MINUTE_MS = 60_000
/** Messages with something variable in them would each be a cause of their own: beyond this many they share one. */
const MAX_CAUSES = 200
const OTHERS = 'other messages'

/** From so many lines on a cause is told of again only after a quarter of the time that it has been going on. */
const SPELL_LINES = 50
const SPELL_PARTS = 4
/** It is over when nothing was heard of it for so long. */
const QUIET_MS = 3_600_000

interface Spell {
  readonly since: number
  heardAt: number
  saidAt: number
  lines: number
  untold: number
}

export function createCauses({ elapsed, after, tell }: Options): Causes {
  const counts = new Map<string, number>()
  const spells = new Map<string, Spell>()
  let since = Number.NEGATIVE_INFINITY
  let stop: (() => void) | undefined

  const keyIn = (known: ReadonlyMap<string, unknown>, cause: string): string =>
    known.has(cause) || known.size < MAX_CAUSES ? cause : OTHERS

  function spellOf(cause: string, at: number): Spell {
    const key = keyIn(spells, cause)
    const spell = spells.get(key) ?? { since: at, heardAt: at, saidAt: at, lines: 0, untold: 0 }
    spells.set(key, spell)
    spell.heardAt = at
    return spell
  }

  const maySay = ({ lines, saidAt, since: from }: Spell, at: number): boolean =>
    lines < SPELL_LINES || at - saidAt >= (at - from) / SPELL_PARTS

  function said(spell: Spell, at: number): void {
    spell.lines += 1
    spell.saidAt = at
  }

  function flush(): void {
    const at = elapsed()
    stop?.()
    stop = undefined
    counts.clear()
    for (const [cause, spell] of [...spells]) {
      const { untold } = spell
      if (untold > 0 && maySay(spell, at)) {
        spell.untold = 0
        said(spell, at)
        tell(cause, untold)
      }
      if (spell.untold === 0 && at - spell.heardAt >= QUIET_MS) spells.delete(cause)
    }
  }

  return {
    flush,
    may(cause) {
      const at = elapsed()
      if (at - since >= MINUTE_MS) {
        flush()
        since = at
      }
      const key = keyIn(counts, cause)
      const count = (counts.get(key) ?? 0) + 1
      counts.set(key, count)
      const spell = spellOf(key, at)
      if (count <= LINES_PER_CAUSE && maySay(spell, at)) {
        said(spell, at)
        return true
      }
      spell.untold += 1
      // Nothing else may be logged for hours: the count is told at the end of the minute all the same.
      stop ??= after(since + MINUTE_MS - at, flush)
      return false
    },
  }
}
