// Counts who still uses a thing, and tells when nobody does.

export interface Held<T> {
  add(thing: T): void
  drop(thing: T): void
  /** Resolves when it is used no more. */
  none(thing: T): Promise<void>
}

export function createHeld<T>(): Held<T> {
  const counts = new Map<T, number>()
  const waiting = new Map<T, (() => void)[]>()

  return {
    add: (thing) => void counts.set(thing, (counts.get(thing) ?? 0) + 1),
    drop(thing) {
      const left = (counts.get(thing) ?? 1) - 1
      if (left > 0) return void counts.set(thing, left)
      counts.delete(thing)
      for (const resolve of waiting.get(thing) ?? []) resolve()
      waiting.delete(thing)
    },
    none(thing) {
      if (!counts.has(thing)) return Promise.resolve()
      return new Promise((resolve) => waiting.set(thing, [...(waiting.get(thing) ?? []), resolve]))
    },
  }
}
