// One round of the dispatcher is one transaction: what it read, what money it moves, and what may be said once it is on
// disk. The rooms of the dispatcher (intake, leasing, answers, expiry) share it.
import type { Transaction } from 'kysely'
import type { ResultError, ResultMessage } from '../../broker/protocol/messages.ts'
import type { Topic } from '../../broker/protocol/topics.ts'
import { accounts } from '../rewards/accounts.ts'
import { balanceOf, post, type Transfer } from '../rewards/ledger.ts'
import type { Database } from '../store/schema.ts'
import type { TaskState } from '../store/states.ts'
import type { Book, OpenTask } from './book.ts'
import type { Candidate } from './choice.ts'
import type { Counters } from './counters.ts'
import type { Frames } from './frames.ts'
import type { MarketLimits } from './limits.ts'
import type { Prices } from './prices.ts'
import type { Streams } from './streams.ts'

/** What the rooms share for as long as the dispatcher lives. */
export interface Market {
  readonly book: Book
  readonly counters: Counters
  readonly streams: Streams
  readonly prices: Prices
  readonly frames: Frames
  readonly limits: MarketLimits
  readonly newId: () => string
  /** Under which name boards know a requester. */
  readonly aliasOf: (requester: string) => string
  readonly boards: () => readonly Candidate[]
}

export interface Outgoing {
  readonly topic: Topic
  readonly payload: Uint8Array | string
  /** The task whose answer this is: once it is handed over the row says so. */
  readonly answers?: string
}

/** `task` changed its state, or (accepted) came to be. */
export interface TaskEvent {
  readonly type: 'task-accepted' | 'task-leased' | 'task-requeued' | 'task-ended'
  readonly task: string
  readonly state: TaskState
}

export interface Round {
  readonly trx: Transaction<Database>
  readonly now: number
  /** Frames that came in this round, so that a lease need not read them back. */
  readonly payloads: Map<string, Uint8Array>
  tell(message: Outgoing): void
  note(event: TaskEvent): void
  ended(task: OpenTask, answer: ResultMessage): void
  /** Sets the price aside if the budget has it; otherwise says what is left. */
  reserve(requester: string, task: string, price: bigint): Promise<{ ok: true } | { ok: false; left: bigint }>
  release(task: OpenTask): void
  /** Posts what was reserved and released; the last thing in a round. */
  settleMoney(): Promise<void>
  /** What memory may forget only once the round is on disk. */
  later(forget: () => void): void
  readonly forgets: readonly (() => void)[]
  readonly outgoing: readonly Outgoing[]
  readonly events: readonly TaskEvent[]
  readonly answers: ReadonlyMap<string, ResultMessage>
}

export function createRound(trx: Transaction<Database>, now: number): Round {
  const outgoing: Outgoing[] = []
  const events: TaskEvent[] = []
  const answers = new Map<string, ResultMessage>()
  const forgets: (() => void)[] = []
  const transfers: Transfer[] = []
  const budgets = new Map<string, bigint>()

  return {
    trx,
    now,
    payloads: new Map(),
    outgoing,
    events,
    answers,
    forgets,
    later: (forget) => forgets.push(forget),
    tell: (message) => outgoing.push(message),
    note: (event) => events.push(event),
    ended: (task, answer) => answers.set(task.id, answer),
    async reserve(requester, task, price) {
      if (price === 0n) return { ok: true }
      const left = budgets.get(requester) ?? (await balanceOf(trx, accounts.budget(requester)))
      if (left < price) return { ok: false, left }
      budgets.set(requester, left - price)
      const [from, to] = [accounts.budget(requester), accounts.reserved(requester)]
      transfers.push({ kind: 'reserve', ref: task, from, to, amount: price, at: now })
      return { ok: true }
    },
    release({ requester, id, price }) {
      if (price === 0n) return
      const [from, to] = [accounts.reserved(requester), accounts.budget(requester)]
      transfers.push({ kind: 'release', ref: id, from, to, amount: price, at: now })
    },
    async settleMoney() {
      await post(trx, transfers)
    },
  }
}

const NO_TIME = { queue: 0, decode: 0, infer: 0 } as const

/** An answer that no board gave: `device` says so. */
export const refusal = (id: string, model: string, now: number, error: ResultError): ResultMessage => ({
  id,
  model,
  device: 'console',
  at: new Date(now).toISOString(),
  ms: NO_TIME,
  error,
})

/** Where the answer to a task or a stream frame goes. */
export const answerTopic = (task: Pick<OpenTask, 'kind' | 'requester' | 'requestId' | 'model'>): Topic => ({
  kind: 'requester-out',
  requester: task.requester,
  model: task.model,
  ...(task.kind === 'task' && { task: task.requestId }),
})

/** Under which id the requester knows it. */
export const answerId = (task: Pick<OpenTask, 'requestId' | 'frameId'>): string => task.frameId ?? task.requestId
