// One transaction for everything that arrives in the same tick, and under load for what arrives in the same few
// milliseconds: a commit costs a disk flush whether it holds one row or a hundred. A lone item still leaves at once.
import type { Kysely, Transaction } from 'kysely'
import type { Database } from './schema.ts'

export interface Work<Out> {
  /** One per item, in their order. */
  readonly outs: readonly Out[]
  /** What may happen only once all of it is on disk: messages, events. */
  readonly after: () => void
}

export interface GroupCommit<In, Out> {
  /** Resolves when the item's transaction is on disk, rejects when it was rolled back. */
  run(item: In): Promise<Out>
  /** Resolves when nothing is under way. */
  settled(): Promise<void>
}

interface Waiting<In, Out> {
  readonly item: In
  readonly resolve: (out: Out) => void
  readonly reject: (error: unknown) => void
}

/** A transaction with a hundred thousand rows would hold up everybody else's: the rest takes the next one. */
const MAX_ITEMS = 256

/**
 * `work` must keep its hands off the outside world: it may be run again. After a rollback `recover` restores whatever
 * memory `work` had changed; then each item gets a transaction of its own, so that one bad item fails alone.
 */
export function createGroupCommit<In, Out>(options: {
  readonly db: Kysely<Database>
  readonly work: (trx: Transaction<Database>, items: readonly In[]) => Promise<Work<Out>>
  readonly recover: () => Promise<void>
  /** Awaited after a transaction of several items, so that the next one gathers more; single items never wait for it. */
  readonly pause?: () => Promise<unknown>
}): GroupCommit<In, Out> {
  const { db, work, recover, pause } = options
  let waiting: Waiting<In, Out>[] = []
  let running: Promise<void> | undefined

  async function apart(group: readonly Waiting<In, Out>[], error: unknown): Promise<void> {
    try {
      await recover()
    } catch (fault) {
      for (const { reject } of group) reject(fault)
      return
    }
    if (group.length > 1) for (const one of group) await commit([one])
    else for (const { reject } of group) reject(error)
  }

  async function commit(group: readonly Waiting<In, Out>[]): Promise<void> {
    const items = group.map(({ item }) => item)
    let done: Work<Out>
    try {
      done = await db.transaction().execute((trx) => work(trx, items))
    } catch (error) {
      return apart(group, error)
    }
    done.after()
    group.forEach(({ resolve }, index) => {
      resolve(done.outs[index] as Out)
    })
  }

  async function drain(): Promise<void> {
    // Everything else that this tick of the event loop delivers joins the same transaction.
    await new Promise((resolve) => setImmediate(resolve))
    while (waiting.length > 0) {
      const group = waiting.slice(0, MAX_ITEMS)
      waiting = waiting.slice(MAX_ITEMS)
      await commit(group)
      if (group.length > 1) await pause?.()
    }
    running = undefined
  }

  return {
    run: (item) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject })
        running ??= drain()
      }),
    settled: async () => {
      while (running) await running
    },
  }
}
