// The overview: what the page shows first, made from presence, the dispatcher's counts, the ledger and the chain.
import type { Kysely } from 'kysely'
import type { Database } from '../../store/schema.ts'
import type { Device, Overview } from '../shapes.ts'
import { type HealthFacts, healthOf, type Refused } from './health.ts'
import type { MoneyViews, Treasury } from './money.ts'
import type { Pulse } from './pulse.ts'

export interface Work {
  readonly waiting: number
  readonly answeredToday: number
  readonly failedToday: number
  readonly droppedToday: Readonly<Record<string, number>>
  readonly lost: number
}

export interface OverviewOptions {
  readonly db: Kysely<Database>
  readonly now: () => number
  readonly boards: () => Promise<Device[]>
  readonly work: () => Work | Promise<Work>
  readonly refused: () => readonly Refused[]
  readonly stopped: () => HealthFacts['stopped']
  readonly pulse: Pick<Pulse, 'perS' | 'history'>
  readonly money: Pick<MoneyViews, 'figures' | 'coverage'>
  readonly treasury: Pick<Treasury, 'cluster' | 'token'>
  readonly troubles: () => readonly string[]
  readonly walletChanges: () => Promise<HealthFacts['walletChanges']>
  readonly broker: { readonly url: string; readonly connected: () => boolean }
}

const DAY_MS = 86_400_000

const countOf = (boards: readonly Device[], state: Device['state']): number =>
  boards.filter((board) => board.state === state).length

export function createOverview(options: OverviewOptions): () => Promise<Overview> {
  const { db, now, pulse, money, treasury, broker } = options

  async function failedPayouts(): Promise<number> {
    const { failed } = await db
      .selectFrom('payouts')
      .innerJoin('payout_batches', 'payout_batches.id', 'payouts.batch_id')
      .select((eb) => eb.fn.countAll<number>().as('failed'))
      .where('payout_batches.state', '=', 'failed')
      .where('payout_batches.updated_at', '>=', now() - DAY_MS)
      .executeTakeFirstOrThrow()
    return failed
  }

  return async () => {
    const boards = await options.boards()
    const work = await options.work()
    const coverage = await money.coverage()
    return {
      health: healthOf({
        connected: broker.connected(),
        broker: broker.url,
        lost: work.lost,
        waiting: work.waiting,
        boards,
        failedPayouts: await failedPayouts(),
        refused: options.refused(),
        stopped: options.stopped(),
        token: treasury.token,
        treasury: coverage,
        chainAnswers: coverage.balance !== undefined,
        troubles: options.troubles(),
        walletChanges: await options.walletChanges(),
      }),
      token: treasury.token,
      cluster: treasury.cluster,
      devices: {
        total: boards.length,
        working: countOf(boards, 'working'),
        idle: countOf(boards, 'idle'),
        late: countOf(boards, 'late'),
        // A board that never came is not there either.
        offline: countOf(boards, 'offline') + countOf(boards, 'new'),
      },
      inferencesPerS: pulse.perS(),
      tasks: work,
      money: await money.figures(),
      history: pulse.history(),
    }
  }
}
