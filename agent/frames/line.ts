// What one source has waiting for one model: tasks by deadline, tasks without one by arrival, and of each stream its newest
// frame.
import { createSorted, earlier, later } from './sorted.ts'

export interface Waiting {
  readonly kind: 'task' | 'frame'
  readonly model: string
  /** Who sends it. Frames of one source replace each other; sources share the board fairly. */
  readonly source: string
  /** When nobody wants the answer any more. All times are milliseconds of a clock that does not jump. */
  readonly deadline?: number
  readonly arrivedAt: number
  readonly bytes: number
}

export interface Place<W extends Waiting> {
  readonly item: W
  readonly dueAt: number
}

export interface Line<W extends Waiting> {
  readonly size: number
  readonly bytes: number
  add(item: W): void
  remove(place: Place<W>): void
  /** The earliest due of those that can be done by then. */
  first(doneBy: number): Place<W> | undefined
  /** Of those that cannot, but are not over at `now`, the one that misses its deadline by least. */
  forlorn(now: number, doneBy: number): Place<W> | undefined
  /** The one whose answer is wanted last. */
  last(): Place<W> | undefined
  frames(): Iterable<Place<W>>
  frame(source: string): W | undefined
  /** The newest frame of its source takes the place of the one before it, which is returned. */
  replace(frame: W): W | undefined
  /** The earliest deadline that is named; Infinity when none is. */
  deadline(): number
  /** Takes out those whose deadline is not after `now`. */
  expire(now: number): readonly W[]
  takeFrames(): readonly W[]
  takeAll(): readonly W[]
}

/** Order of those that name no deadline: a task is wanted within half a minute, a live frame within a second. */
const IMPLIED_MS = { task: 30_000, frame: 1_000 } as const

const dueOf = (item: Waiting): number => item.deadline ?? item.arrivedAt + IMPLIED_MS[item.kind]

export const canBeDone = ({ deadline }: Waiting, by: number): boolean => deadline === undefined || deadline >= by
const isOver = ({ deadline }: Waiting, now: number): boolean => deadline !== undefined && deadline <= now

const itemsOf = <W extends Waiting>(places: readonly Place<W>[]): W[] => places.map(({ item }) => item)

export function createLine<W extends Waiting>(): Line<W> {
  const dated = createSorted<Place<W>>()
  const undated = createSorted<Place<W>>()
  const frames = new Map<string, Place<W>>()
  let bytes = 0

  const listOf = ({ deadline }: W) => (deadline === undefined ? undated : dated)

  function frameBy(better: typeof earlier, fits: (item: W) => boolean): Place<W> | undefined {
    let best: Place<W> | undefined
    for (const place of frames.values()) if (fits(place.item)) best = better(best, place)
    return best
  }

  function out(items: readonly W[]): readonly W[] {
    for (const item of items) {
      bytes -= item.bytes
      if (item.kind === 'frame') frames.delete(item.source)
    }
    return items
  }

  const takeFrames = (): readonly W[] => out(itemsOf([...frames.values()]))

  return {
    get size() {
      return dated.size + undated.size + frames.size
    },
    get bytes() {
      return bytes
    },
    add(item) {
      const place = { item, dueAt: dueOf(item) }
      bytes += item.bytes
      if (item.kind === 'frame') frames.set(item.source, place)
      else listOf(item).add(place)
    },
    remove(place) {
      if (place.item.kind === 'task') listOf(place.item).remove(place)
      out([place.item])
    },
    first: (doneBy) =>
      earlier(
        earlier(dated.from(doneBy), undated.first()),
        frameBy(earlier, (frame) => canBeDone(frame, doneBy)),
      ),
    forlorn(now, doneBy) {
      const task = dated.before(doneBy)
      const frame = frameBy(later, (one) => !canBeDone(one, doneBy) && !isOver(one, now))
      return later(task && !isOver(task.item, now) ? task : undefined, frame)
    },
    last: () =>
      later(
        later(dated.last(), undated.last()),
        frameBy(later, () => true),
      ),
    frames: () => frames.values(),
    frame: (source) => frames.get(source)?.item,
    replace(frame) {
      const old = frames.get(frame.source)
      bytes += frame.bytes - (old?.item.bytes ?? 0)
      frames.set(frame.source, { item: frame, dueAt: Math.min(dueOf(frame), old?.dueAt ?? Number.POSITIVE_INFINITY) })
      return old?.item
    },
    deadline() {
      let earliest = dated.first()?.dueAt ?? Number.POSITIVE_INFINITY
      for (const { item } of frames.values()) earliest = Math.min(earliest, item.deadline ?? earliest)
      return earliest
    },
    expire: (now) =>
      out(itemsOf([...dated.takeUpTo(now), ...[...frames.values()].filter(({ item }) => isOver(item, now))])),
    takeFrames,
    takeAll: () =>
      out(
        itemsOf([
          ...dated.takeUpTo(Number.POSITIVE_INFINITY),
          ...undated.takeUpTo(Number.POSITIVE_INFINITY),
          ...frames.values(),
        ]),
      ),
  }
}
