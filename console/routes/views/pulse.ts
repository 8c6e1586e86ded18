// Answers per second as the bus hears them: over the last 10 s for the figure, and every 2 s for the curve.

const WINDOW_S = 10
/** Five minutes of points, one per tick of 2 s. */
const MAX_POINTS = 150

export interface Pulse {
  answered(): void
  readonly total: number
  perS(): number
  /** Takes a point of the curve; called every 2 s. */
  tick(): void
  history(): { at: string; perS: number }[]
}

export function createPulse(now: () => number): Pulse {
  /** Answers in each of the last seconds, by second modulo the ring's length. */
  const ring = new Array<number>(WINDOW_S + 1).fill(0)
  const startedAt = now()
  let second = Math.floor(startedAt / 1000)
  let total = 0
  let tickedAt = startedAt
  let tickedTotal = 0
  const points: { at: string; perS: number }[] = []

  function advance(): number {
    const present = Math.floor(now() / 1000)
    // A clock set back starts the ring again rather than counting the same second twice.
    const steps = present < second ? ring.length : Math.min(present - second, ring.length)
    for (let step = 1; step <= steps; step++) ring[(present - steps + step) % ring.length] = 0
    second = present
    return present % ring.length
  }

  return {
    answered() {
      total += 1
      const slot = advance()
      ring[slot] = (ring[slot] ?? 0) + 1
    },
    get total() {
      return total
    },
    perS() {
      const running = advance()
      const full = ring.reduce((sum, count) => sum + count, 0) - (ring[running] ?? 0)
      // In the first seconds after the start the window is as long as the console is old.
      const seconds = Math.min(WINDOW_S, Math.max(1, Math.floor((now() - startedAt) / 1000)))
      return Math.round((full / seconds) * 10) / 10
    },
    tick() {
      const at = now()
      const seconds = Math.max(0.001, (at - tickedAt) / 1000)
      points.push({ at: new Date(at).toISOString(), perS: Math.round(((total - tickedTotal) / seconds) * 10) / 10 })
      if (points.length > MAX_POINTS) points.shift()
      tickedAt = at
      tickedTotal = total
    },
    history: () => [...points],
  }
}
