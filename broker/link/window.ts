// How many QoS 1 publishes a broker takes at once (the receive maximum of MQTT 5): with one more it ends the connection.

export interface Window {
  /** Undefined: go on. Otherwise wait for it; it rejects when the connection ends first. */
  enter(): Promise<void> | undefined
  leave(): void
  /** Told by the broker once connected. */
  narrow(size: number): void
  rejectAll(reason: Error): void
}

export function createWindow(): Window {
  let size = Number.POSITIVE_INFINITY
  let taken = 0
  const waiting: { resolve: () => void; reject: (reason: Error) => void }[] = []
  return {
    enter() {
      if (taken < size) {
        taken += 1
        return undefined
      }
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
    },
    leave() {
      const next = waiting.shift()
      // Its place goes on to the next one.
      if (next) next.resolve()
      else taken -= 1
    },
    narrow(to) {
      size = to
    },
    rejectAll(reason) {
      for (const { reject } of waiting.splice(0)) reject(reason)
    },
  }
}
