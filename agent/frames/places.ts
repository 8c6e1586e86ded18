// The books of what waits: the account of each source with its lines, and how many places of each model are taken by whom.
import type { Source } from './choice.ts'
import { createLine, type Line, type Waiting } from './line.ts'
import { createTurns, NEW, type Turns } from './turns.ts'

/** The places of one model. */
export interface Room<W extends Waiting> {
  readonly count: number
  readonly bytes: number
  readonly sources: ReadonlySet<Source<W>>
  /** Whose account a stream's frame waits under, by the stream's name. */
  readonly streams: ReadonlyMap<string, Source<W>>
}

export interface Places<W extends Waiting> {
  readonly turns: Pick<Turns<Source<W>>, 'waiting' | 'served'>
  readonly rooms: ReadonlyMap<string, Room<W>>
  room(model: string): Room<W>
  /** Makes an account for it, unless there are too many. */
  source(name: string): Source<W>
  known(name: string): Source<W> | undefined
  put(source: Source<W>, item: W): void
  /** In the place of the frame of its source that waits; returns that. */
  replace(source: Source<W>, frame: W): W | undefined
  /** These were taken out of their line. */
  gone(source: Source<W>, model: string, items: readonly W[]): void
  /** Takes out what `pick` takes out of each line. */
  takeAll(pick: (line: Line<W>) => readonly W[]): readonly W[]
}

/** Sources with an account of their own, waiting or lately served; more at one time share one, and memory stays bounded. */
const SOURCES = 256
const OTHERS = ''

export function createPlaces<W extends Waiting>(): Places<W> {
  const turns = createTurns<Source<W>>()
  const accounts = createAccounts<W>(turns.waiting)
  const rooms = new Map<string, ReturnType<typeof emptyRoom<W>>>()

  function room(model: string) {
    const one = rooms.get(model) ?? emptyRoom<W>()
    rooms.set(model, one)
    return one
  }

  function gone(source: Source<W>, model: string, items: readonly W[]): void {
    const of = room(model)
    for (const item of items) {
      of.count -= 1
      of.bytes -= item.bytes
      if (item.kind === 'frame') of.streams.delete(item.source)
    }
    if (source.lines.get(model)?.size !== 0) return
    source.lines.delete(model)
    of.sources.delete(source)
    if (source.lines.size === 0) turns.leave(source)
  }

  return {
    turns,
    rooms,
    room,
    ...accounts,
    put(source, item) {
      const of = room(item.model)
      const line = source.lines.get(item.model) ?? createLine<W>()
      source.lines.set(item.model, line)
      if (!turns.waiting.has(source)) turns.join(source)
      line.add(item)
      of.sources.add(source)
      if (item.kind === 'frame') of.streams.set(item.source, source)
      of.count += 1
      of.bytes += item.bytes
    },
    replace(source, frame) {
      const old = source.lines.get(frame.model)?.replace(frame)
      room(frame.model).bytes += frame.bytes - (old?.bytes ?? 0)
      return old
    },
    gone,
    takeAll(pick) {
      const all: W[] = []
      for (const source of [...turns.waiting])
        for (const [model, line] of [...source.lines]) {
          const items = pick(line)
          if (items.length > 0) gone(source, model, items)
          all.push(...items)
        }
      return all
    },
  }
}

const emptyRoom = <W extends Waiting>() => ({
  count: 0,
  bytes: 0,
  sources: new Set<Source<W>>(),
  streams: new Map<string, Source<W>>(),
})

function createAccounts<W extends Waiting>(waiting: ReadonlySet<Source<W>>) {
  const accounts = new Map<string, Source<W>>()

  /** Of those that do not wait the older half: what they were ahead is forgiven. */
  function forget(): void {
    const resting = [...accounts].filter(([, source]) => !waiting.has(source))
    for (const [name] of resting.slice(0, Math.ceil(resting.length / 2))) accounts.delete(name)
  }

  function source(name: string): Source<W> {
    const known = accounts.get(name)
    if (known) return known
    if (accounts.size >= SOURCES) forget()
    if (accounts.size >= SOURCES && name !== OTHERS) return source(OTHERS)
    const made = { at: NEW, lines: new Map() }
    accounts.set(name, made)
    return made
  }

  return { source, known: (name: string) => accounts.get(name) ?? accounts.get(OTHERS) }
}
