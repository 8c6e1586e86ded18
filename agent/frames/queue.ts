// What waits for the inference host: pure, bounded per model by count and bytes. Tasks go by earliest deadline; of a
// stream only the newest frame waits, in the place of the one it replaced, so a fast camera cannot push itself back.

export interface Waiting {
  readonly kind: 'task' | 'frame'
  readonly model: string
  /** Frames of one source replace each other. */
  readonly source: string
  /** Epoch milliseconds after which nobody wants the answer. */
  readonly deadline?: number
  readonly arrivedAt: number
  readonly bytes: number
}

export interface QueueLimits {
  readonly framesPerModel: number
  readonly bytesPerModel: number
}

export type Offered<W> = { readonly ok: true; readonly replaced?: W } | { readonly ok: false; readonly ahead: number }

export interface Queue<W extends Waiting> {
  /** Takes it in, perhaps in the place of an older frame of its source; or refuses, saying how many are ahead. */
  offer(item: W): Offered<W>
  /** What should run next, and what waited too long and must not run. */
  take(now: number): { readonly next?: W; readonly expired: readonly W[] }
  /** Empties the queue. */
  clear(): readonly W[]
  size(): number
  bytes(): number
}

/** Order of those that name no deadline: a task is wanted within half a minute, a live frame within a second. */
const IMPLIED_MS = { task: 30_000, frame: 1_000 } as const

interface Place<W> {
  readonly item: W
  readonly dueAt: number
}

interface Line<W> {
  readonly places: Place<W>[]
  bytes: number
}

export function createQueue<W extends Waiting>(limits: QueueLimits): Queue<W> {
  const lines = new Map<string, Line<W>>()

  const lineOf = (model: string): Line<W> => {
    const line = lines.get(model) ?? { places: [], bytes: 0 }
    lines.set(model, line)
    return line
  }

  function remove(line: Line<W>, index: number): W | undefined {
    const [gone] = line.places.splice(index, 1)
    line.bytes -= gone?.item.bytes ?? 0
    return gone?.item
  }

  function earliest(): { line: Line<W>; index: number; dueAt: number } | undefined {
    let best: { line: Line<W>; index: number; dueAt: number } | undefined
    for (const line of lines.values())
      line.places.forEach(({ dueAt }, index) => {
        if (best === undefined || dueAt < best.dueAt) best = { line, index, dueAt }
      })
    return best
  }

  return {
    offer(item) {
      const line = lineOf(item.model)
      const index = item.kind === 'frame' ? line.places.findIndex(({ item: old }) => isOlder(old, item)) : -1
      const old = line.places[index]
      const bytes = line.bytes - (old?.item.bytes ?? 0) + item.bytes
      const count = line.places.length + (old ? 0 : 1)
      if (count > limits.framesPerModel || bytes > limits.bytesPerModel) return { ok: false, ahead: line.places.length }
      const dueAt = dueOf(item)
      line.bytes = bytes
      if (!old) {
        line.places.push({ item, dueAt })
        return { ok: true }
      }
      line.places[index] = { item, dueAt: Math.min(dueAt, old.dueAt) }
      return { ok: true, replaced: old.item }
    },
    take(now) {
      const expired: W[] = []
      for (const line of lines.values())
        for (let index = line.places.length - 1; index >= 0; index -= 1) {
          const deadline = line.places[index]?.item.deadline
          const gone = deadline !== undefined && deadline <= now ? remove(line, index) : undefined
          if (gone) expired.push(gone)
        }
      const best = earliest()
      const next = best && remove(best.line, best.index)
      return next ? { next, expired } : { expired }
    },
    clear() {
      const all = [...lines.values()].flatMap(({ places }) => places.map(({ item }) => item))
      lines.clear()
      return all
    },
    size: () => [...lines.values()].reduce((sum, { places }) => sum + places.length, 0),
    bytes: () => [...lines.values()].reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

const dueOf = (item: Waiting): number => item.deadline ?? item.arrivedAt + IMPLIED_MS[item.kind]

const isOlder = (old: Waiting, item: Waiting): boolean => old.kind === 'frame' && old.source === item.source
