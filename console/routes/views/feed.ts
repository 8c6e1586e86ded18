// From "task X changed" to what the page hears: changes are gathered for half a second, each thing is read once, and
// nothing at all is read while nobody listens.
import type { Change } from '../../events.ts'
import type { ConsoleEvent, Device, Overview, PayoutView, TaskView, WalletChangeView } from '../shapes.ts'

export interface FeedOptions {
  readonly listen: (listener: (change: Change) => void) => () => void
  readonly tasks: (ids: readonly string[]) => Promise<TaskView[]>
  readonly devices: (ids: readonly string[]) => Promise<Device[]>
  readonly payouts: (ids: readonly string[]) => Promise<PayoutView[]>
  readonly walletChanges: () => Promise<WalletChangeView[]>
  readonly overview: () => Promise<Overview>
  readonly now: () => number
}

/** A page cannot show more than this per turn, and a person cannot read it. The newest win. */
const MAX_TASKS_PER_TURN = 25
const OVERVIEW_EVERY_MS = 1000

export function createFeed(options: FeedOptions) {
  const { now } = options
  const listeners = new Set<(event: ConsoleEvent) => void>()
  const changed = { task: new Set<string>(), device: new Set<string>(), payout: new Set<string>() }
  let money = false
  let wallets = false
  let overviewAt = 0

  const stop = options.listen((change) => {
    if (listeners.size === 0) return
    if (change.about === 'rewards') money = true
    else if (change.about === 'wallets') wallets = true
    else changed[change.about].add(change.id)
  })

  const take = (ids: Set<string>, most: number): string[] => {
    const taken = [...ids].slice(-most)
    ids.clear()
    return taken
  }
  const tell = (event: ConsoleEvent): void => {
    for (const listener of listeners) listener(event)
  }

  return {
    subscribe(listener: (event: ConsoleEvent) => void): () => void {
      listeners.add(listener)
      // A newcomer is not left to wait: the next turn tells everybody the overview.
      overviewAt = 0
      return () => listeners.delete(listener)
    },

    /** Called twice a second. */
    async turn(): Promise<void> {
      if (listeners.size === 0) return
      for (const data of await options.tasks(take(changed.task, MAX_TASKS_PER_TURN))) tell({ event: 'task', data })
      for (const data of await options.devices(take(changed.device, 200))) tell({ event: 'device', data })
      for (const data of await options.payouts(take(changed.payout, 50))) tell({ event: 'payout', data })
      if (money) tell({ event: 'rewards', data: { at: new Date(now()).toISOString() } })
      money = false
      if (wallets) tell({ event: 'wallets', data: { waiting: await options.walletChanges() } })
      wallets = false
      if (now() - overviewAt < OVERVIEW_EVERY_MS) return
      overviewAt = now()
      tell({ event: 'overview', data: await options.overview() })
    },

    close: stop,
  }
}
export type Feed = ReturnType<typeof createFeed>
