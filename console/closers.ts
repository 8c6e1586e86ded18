// What must be closed, in reverse order of opening; AsyncDisposableStack does the same, but not before Node 24.

export interface Closers {
  defer(close: () => Promise<void> | void): void
  /** Closes everything, also when some of it fails; rejects with the first failure then. */
  close(): Promise<void>
}

export function createClosers(): Closers {
  const deferred: (() => Promise<void> | void)[] = []
  return {
    defer: (close) => void deferred.push(close),
    async close() {
      const failures: unknown[] = []
      for (let close = deferred.pop(); close !== undefined; close = deferred.pop()) {
        try {
          await close()
        } catch (error) {
          failures.push(error)
        }
      }
      if (failures.length > 0) throw failures[0]
    },
  }
}
