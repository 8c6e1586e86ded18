// How many tasks were ever taken in and how each ended, kept in the database in the same transaction as the rows: what
// was accepted and is neither open nor ended is lost, and these numbers say so even if the rows are gone.
import type { Kysely } from 'kysely'
import { z } from 'zod'
import type { Database } from '../store/schema.ts'

/** What became of a board's result. `unknown-task`: ended before, or never the pool's (an owner feeds its board). */
export type Verdict = 'done' | 'failed' | 'requeued' | 'unknown-task' | 'not-leased' | 'mismatched'

export const ENDINGS = ['done', 'failed', 'expired'] as const
export type Ending = (typeof ENDINGS)[number]

const Count = z.int().nonnegative()
const Tally = z.object({ done: Count, failed: Count, expired: Count })

const Counts = z.object({
  accepted: Count,
  ended: Tally,
  today: z.object({ date: z.string(), ended: Tally, dropped: z.record(z.string(), Count) }),
})
export type Counts = z.infer<typeof Counts>

export interface Counters {
  accepted(): void
  ended(how: Ending): void
  /** A stream frame that nobody will answer. */
  dropped(reason: string): void
  /** What became of a board's result; since the start, not kept. */
  result(verdict: Verdict): void
  results(): Readonly<Record<Verdict, number>>
  read(): Counts
  save(trx: Kysely<Database>): Promise<void>
  load(db: Kysely<Database>): Promise<void>
}

const KEY = 'market.counts'
const dayOf = (now: number): string => new Date(now).toISOString().slice(0, 10)
const noEndings = (): Counts['ended'] => ({ done: 0, failed: 0, expired: 0 })

/** `today` is the UTC day of `now`. */
export function createCounters(now: () => number): Counters {
  const newDay = (): Counts['today'] => ({ date: dayOf(now()), ended: noEndings(), dropped: {} })
  const none = (): Counts => ({ accepted: 0, ended: noEndings(), today: newDay() })
  let counts = none()
  let isSaved = true
  const results = { done: 0, failed: 0, requeued: 0, 'unknown-task': 0, 'not-leased': 0, mismatched: 0 }

  function today(): Counts['today'] {
    if (counts.today.date !== dayOf(now())) counts = { ...counts, today: newDay() }
    return counts.today
  }

  return {
    accepted() {
      counts.accepted += 1
      isSaved = false
    },
    ended(how) {
      counts.ended[how] += 1
      today().ended[how] += 1
      isSaved = false
    },
    dropped(reason) {
      const { dropped } = today()
      dropped[reason] = (dropped[reason] ?? 0) + 1
      isSaved = false
    },
    result(verdict) {
      results[verdict] += 1
    },
    results: () => ({ ...results }),
    read: () => ({ ...structuredClone(counts), today: structuredClone(today()) }),
    async save(trx) {
      if (isSaved) return
      const value = JSON.stringify(counts)
      await trx
        .insertInto('meta')
        .values({ key: KEY, value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
        .execute()
      isSaved = true
    },
    async load(db) {
      const row = await db.selectFrom('meta').select('value').where('key', '=', KEY).executeTakeFirst()
      counts = row ? Counts.parse(JSON.parse(row.value)) : none()
      isSaved = true
    },
  }
}
