// A bounded number of places: whoever wants one waits in line.

export interface Slots {
  free(): number
  /** Takes a place if one is free now. */
  tryTake(): boolean
  /** Resolves when a place was taken for the caller. */
  take(): Promise<void>
  /** Gives a place back; `first` may use it before those in line. */
  give(first: () => void): void
}

export function createSlots(size: number): Slots {
  let free = size
  const line: (() => void)[] = []

  function tryTake(): boolean {
    if (free === 0) return false
    free -= 1
    return true
  }

  return {
    free: () => free,
    tryTake,
    take: () => (tryTake() ? Promise.resolve() : new Promise((resolve) => line.push(resolve))),
    give(first) {
      free += 1
      first()
      if (line.length > 0 && tryTake()) line.shift()?.()
    },
  }
}
