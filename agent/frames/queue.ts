// What waits for the inference host, bounded per model by count and bytes. Of a stream only the newest frame of its source
// waits, in the place of the one before it. When a model's places or bytes are all taken, a source that would hold no more
// than its even part of them (limit / sources that wait for the model) gets its place all the same: from the source that
// holds most, which gives up what it wants last. So a flood takes places only from itself. What goes first: choice.ts.
import { chooseNext, type Source } from './choice.ts'
import type { Line, Waiting } from './line.ts'
import { createPlaces, type Places, type Room } from './places.ts'

export type { Waiting } from './line.ts'

export interface QueueLimits {
  readonly framesPerModel: number
  readonly bytesPerModel: number
}

export interface Estimates {
  /** Milliseconds of the host that a run of this model takes. */
  cost(model: string): number
  /** Milliseconds from handing it to the host until somebody has its answer. */
  lead(model: string): number
}

export type Offered<W> =
  | { readonly ok: true; readonly replaced?: W; readonly displaced: readonly W[] }
  | { readonly ok: false }

export interface Queue<W extends Waiting> {
  /** Takes it in: in the place of an older frame of its source, of others of a greedy source, or in one that is free. */
  offer(item: W): Offered<W>
  /** Whose deadline has come: they must not run. */
  expire(now: number): readonly W[]
  /** What should run next, unless `fits` says that it is not the moment for that. Its source pays what it is expected to cost. */
  take(now: number, fits?: (item: W) => boolean): W | undefined
  /** A run cost its source more (or, below 0, less) than was expected. */
  charge(source: string, ms: number): void
  /** Expected milliseconds of the host until a newcomer of this source would be done. */
  aheadMs(source: string): number
  /** Takes all frames out; the tasks go on waiting. */
  dropFrames(): readonly W[]
  clear(): readonly W[]
  size(): number
  bytes(): number
}

const NONE: readonly never[] = []

export function createQueue<W extends Waiting>(limits: QueueLimits, estimates: Estimates): Queue<W> {
  const places = createPlaces<W>()
  const { turns } = places
  /** No deadline comes before this. */
  let nextDeadline = Number.POSITIVE_INFINITY

  function offer(item: W): Offered<W> {
    const { model } = item
    const holder = item.kind === 'frame' ? places.room(model).streams.get(item.source) : undefined
    const source = holder ?? places.source(item.source)
    const old = holder?.lines.get(model)?.frame(item.source)
    const displaced = makeRoom(places, limits, {
      source,
      model,
      size: old ? 0 : 1,
      bytes: item.bytes - (old?.bytes ?? 0),
    })
    if (!displaced) return { ok: false }
    nextDeadline = Math.min(nextDeadline, item.deadline ?? nextDeadline)
    if (!old) places.put(source, item)
    const replaced = old && places.replace(source, item)
    return { ok: true, displaced, ...(replaced && { replaced }) }
  }

  return {
    offer,
    expire(now) {
      if (now < nextDeadline) return NONE
      nextDeadline = Number.POSITIVE_INFINITY
      return places.takeAll((line) => {
        const over = line.expire(now)
        nextDeadline = Math.min(nextDeadline, line.deadline())
        return over
      })
    },
    take(now, fits) {
      const choice = chooseNext(turns, estimates, now)
      if (!choice || fits?.(choice.place.item) === false) return undefined
      const { source, line, place } = choice
      const { item } = place
      turns.served(source, estimates.cost(item.model))
      line.remove(place)
      places.gone(source, item.model, [item])
      return item
    },
    charge(name, ms) {
      turns.served(places.source(name), ms)
    },
    aheadMs: (name) => aheadMs(places, estimates, name),
    dropFrames: () => places.takeAll((line) => line.takeFrames()),
    clear: () => places.takeAll((line) => line.takeAll()),
    size: () => sum(places.rooms, 'count'),
    bytes: () => sum(places.rooms, 'bytes'),
  }
}

interface Need<W extends Waiting> {
  readonly source: Source<W>
  readonly model: string
  readonly size: number
  readonly bytes: number
}

/** What had to go so that this fits, or undefined: it does not. */
function makeRoom<W extends Waiting>(
  places: Places<W>,
  { framesPerModel, bytesPerModel }: QueueLimits,
  need: Need<W>,
): readonly W[] | undefined {
  const room = places.room(need.model)
  const short = (): 'size' | 'bytes' | undefined => {
    if (room.count + need.size > framesPerModel) return 'size'
    return room.bytes + need.bytes > bytesPerModel ? 'bytes' : undefined
  }
  if (short() === undefined) return NONE
  const own = need.source.lines.get(need.model)
  const part = 1 / (room.sources.size + (own ? 0 : 1))
  if ((own?.size ?? 0) + need.size > framesPerModel * part) return undefined
  if ((own?.bytes ?? 0) + need.bytes > bytesPerModel * part) return undefined
  const displaced: W[] = []
  // As long as something is short, the others hold more than their even parts of it, and so one of them more than this one.
  for (let what = short(); what !== undefined; what = short()) displaced.push(displaceOne(places, room, need, what))
  return displaced
}

/** The last of what the greediest holds. */
function displaceOne<W extends Waiting>(
  places: Places<W>,
  room: Room<W>,
  { model }: Need<W>,
  short: 'size' | 'bytes',
): W {
  let greedy: { source: Source<W>; line: Line<W> } | undefined
  for (const source of room.sources) {
    const line = source.lines.get(model)
    if (line && line[short] > (greedy?.line[short] ?? 0)) greedy = { source, line }
  }
  const place = greedy?.line.last()
  if (!greedy || !place) throw new Error(`the places of ${model} are taken by nobody`)
  greedy.line.remove(place)
  places.gone(greedy.source, model, [place.item])
  return place.item
}

function aheadMs<W extends Waiting>({ turns, known }: Places<W>, estimates: Estimates, name: string): number {
  const own = known(name)
  let [all, ofOwn] = [0, 0]
  for (const source of turns.waiting)
    for (const [model, line] of source.lines) {
      const ms = line.size * estimates.cost(model)
      all += ms
      if (source === own) ofOwn += ms
    }
  // Its own wait for its turns; without any, it would wait for a place.
  return ofOwn === 0 ? all : Math.min(all, ofOwn * turns.waiting.size)
}

function sum(rooms: Places<Waiting>['rooms'], what: 'count' | 'bytes'): number {
  let all = 0
  for (const room of rooms.values()) all += room[what]
  return all
}
