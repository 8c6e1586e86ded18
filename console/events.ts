// What changed, told inside the process: the trades name the thing that changed, and whoever shows it reads it afresh.
// Emitting costs one call per listener and carries no data, so the path of a frame pays next to nothing for the page.

export type Change =
  | { readonly about: 'task'; readonly id: string }
  | { readonly about: 'device'; readonly id: string }
  | { readonly about: 'payout'; readonly id: string }
  /** Money moved. */
  | { readonly about: 'rewards' }
  /** Where somebody is paid changed, or will. */
  | { readonly about: 'wallets' }

export interface Events {
  emit(change: Change): void
  /** Hears every change from now on; the answer stops it. Listeners must not throw: they run inside the trades. */
  listen(listener: (change: Change) => void): () => void
}

export function createEvents(): Events {
  const listeners = new Set<(change: Change) => void>()
  return {
    emit: (change) => {
      for (const listener of listeners) listener(change)
    },
    listen: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
