// Whose turn it is: requesters take turns, and within one requester the earliest deadline goes first. In memory only;
// the rows in SQLite are the truth and market/book.ts loads this from them.

export interface Queued {
  readonly id: string
  readonly requester: string
  readonly model: string
  readonly deadlineAt: number
}

export interface FairQueue<T extends Queued> {
  add(task: T): void
  remove(task: T): boolean
  /** Takes out the next task for which `findPlace` finds a place. `open(model)` false skips that model's tasks unseen. */
  take<P>(open: (model: string) => boolean, findPlace: (task: T) => P | undefined): { task: T; place: P } | undefined
  /** Tasks whose deadline has come, left where they are. */
  due(now: number): T[]
  readonly size: number
}

/** First index whose deadline is after `deadlineAt`: equal deadlines keep their order of arrival. */
function placeFor(line: readonly Queued[], deadlineAt: number): number {
  let low = 0
  let high = line.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((line[middle]?.deadlineAt ?? 0) <= deadlineAt) low = middle + 1
    else high = middle
  }
  return low
}

export function createFairQueue<T extends Queued>(): FairQueue<T> {
  // Insertion order is the order of turns: who was served goes to the back.
  const requesters = new Map<string, Map<string, T[]>>()
  let size = 0

  function lineOf({ requester, model }: T): T[] {
    const lines = requesters.get(requester) ?? new Map<string, T[]>()
    requesters.set(requester, lines)
    const line = lines.get(model) ?? []
    lines.set(model, line)
    return line
  }

  function removeAt(task: T, line: T[], index: number): void {
    line.splice(index, 1)
    size -= 1
    if (line.length > 0) return
    const lines = requesters.get(task.requester)
    lines?.delete(task.model)
    if (lines?.size === 0) requesters.delete(task.requester)
  }

  interface Offer<P> {
    readonly task: T
    readonly place: P
    readonly line: T[]
    readonly index: number
  }

  function firstFitting<P>(line: T[], findPlace: (task: T) => P | undefined): Offer<P> | undefined {
    for (const [index, task] of line.entries()) {
      const place = findPlace(task)
      if (place !== undefined) return { task, place, line, index }
    }
    return undefined
  }

  function earliestFitting<P>(
    lines: ReadonlyMap<string, T[]>,
    open: (model: string) => boolean,
    findPlace: (task: T) => P | undefined,
  ): Offer<P> | undefined {
    let best: Offer<P> | undefined
    for (const [model, line] of lines) {
      if (!open(model)) continue
      const offer = firstFitting(line, findPlace)
      if (offer && (!best || offer.task.deadlineAt < best.task.deadlineAt)) best = offer
    }
    return best
  }

  return {
    add(task) {
      const line = lineOf(task)
      line.splice(placeFor(line, task.deadlineAt), 0, task)
      size += 1
    },
    remove(task) {
      const line = requesters.get(task.requester)?.get(task.model)
      const index = line?.indexOf(task) ?? -1
      if (!line || index < 0) return false
      removeAt(task, line, index)
      return true
    },
    take(open, findPlace) {
      for (const [requester, lines] of requesters) {
        const offer = earliestFitting(lines, open, findPlace)
        if (!offer) continue
        removeAt(offer.task, offer.line, offer.index)
        // Still has tasks: goes to the back of the round.
        if (requesters.delete(requester) && lines.size > 0) requesters.set(requester, lines)
        return { task: offer.task, place: offer.place }
      }
      return undefined
    },
    due(now) {
      const due: T[] = []
      for (const lines of requesters.values())
        for (const line of lines.values())
          for (const task of line) {
            if (task.deadlineAt > now) break
            due.push(task)
          }
      return due
    },
    get size() {
      return size
    },
  }
}
