// Whose turn it is: every source has an account of what this board has done for it, in milliseconds of the inference
// process, on a common scale (after start-time fair queueing, Goyal 1996). Served, it moves on by what that cost. Nobody
// saves up time: who comes back after a pause begins at most a leash behind the one that has had least. And nobody gains by
// a new name: a newcomer begins where the work done so far, shared by those who waited, would have brought it.

export interface Account {
  /** Where it stands on the common scale: lower has had less. */
  at: number
}

export interface Turns<A extends Account> {
  /** It begins to wait. */
  join(account: A): void
  /** It has nothing waiting any more. */
  leave(account: A): void
  /** It was given `ms` (less than 0: given back); while it still waits, where it does. */
  served(account: A, ms: number): void
  /** Those that wait, in the order in which they began to. */
  readonly waiting: ReadonlySet<A>
}

/**
 * How far ahead of the poorest a source may be served, when what it wants is more urgent: a burst of a few small runs.
 * Within it the earliest deadline wins, as if there were no sources; at its end it is somebody else's turn whatever the
 * deadlines say.
 */
export const LEASH_MS = 250

/** The place of an account that nobody has seen before. */
export const NEW = Number.NEGATIVE_INFINITY

export function createTurns<A extends Account>(): Turns<A> {
  const waiting = new Set<A>()
  /** Where the poorest is; where it was, while nobody waits. */
  let floor = 0
  /** Where newcomers begin: passes everybody in time, however many of them come. */
  let begin = 0

  function look(): void {
    let lowest = Number.POSITIVE_INFINITY
    for (const { at } of waiting) if (at < lowest) lowest = at
    if (lowest === Number.POSITIVE_INFINITY) return
    floor = Math.max(floor, lowest)
    begin = Math.max(begin, floor)
  }

  return {
    waiting,
    join(account) {
      look()
      account.at = account.at === NEW ? begin : Math.max(account.at, floor - LEASH_MS)
      waiting.add(account)
    },
    leave(account) {
      waiting.delete(account)
    },
    served(account, ms) {
      account.at += ms
      // Never back: who began meanwhile began there.
      begin += Math.max(0, ms) / Math.max(1, waiting.size)
      look()
    },
  }
}
