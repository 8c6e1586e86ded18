// The views of this start, each given what it reads from.
import type { Catalog } from '../../models/catalog.ts'
import { createBoardViews } from '../routes/views/boards.ts'
import { createModelViews } from '../routes/views/models.ts'
import { createMoneyViews } from '../routes/views/money.ts'
import type { Work } from '../routes/views/overview.ts'
import { createPayoutViews } from '../routes/views/payouts.ts'
import { createReceiptViews } from '../routes/views/receipts.ts'
import { createSoftwareViews } from '../routes/views/software.ts'
import { createTaskViews } from '../routes/views/tasks.ts'
import type { Store } from '../store/open.ts'
import type { Money } from './money.ts'
import type { Trades } from './trades.ts'

export interface ViewOptions {
  readonly store: Store
  readonly catalog: Catalog
  readonly trades: Trades
  readonly money: Money
}

export function openViews({ store: { db }, catalog, trades, money }: ViewOptions, now: () => number) {
  const { devices, frames, prices } = trades
  const nameOf = (device: string): string => devices.get(device)?.name ?? device
  const tasks = createTaskViews({ db, nameOf, hasFrame: frames.has })
  const receipts = createReceiptViews({ db, nameOf })
  const boards = createBoardViews({ db, devices, tasks, receipts })
  const payouts = createPayoutViews({ db, transaction: money.transaction })
  const { registry, wishes, software } = trades.packages
  const { shelf, publishers } = registry
  const { list, presenceOf } = devices
  const models = createModelViews({ catalog, shelf, publishers, wishes, prices, boards: list, presenceOf })
  const boardsOf = (owner: string): number => devices.list().filter(({ ownerId }) => ownerId === owner).length
  return {
    tasks,
    receipts,
    boards,
    payouts,
    models,
    software: createSoftwareViews({ db, ...software, boards: list }),
    money: createMoneyViews({
      db,
      now,
      treasury: money.treasury,
      payouts,
      held: money.payouts.payable,
      troubles: money.troubles,
      boardsOf,
    }),
  }
}
export type Views = ReturnType<typeof openViews>

/** The pool's own counts, and what boards dropped of their streams. */
export function workOf({ dispatcher, devices }: Pick<Trades, 'dispatcher' | 'devices'>): Work {
  const { queued, leased, today, lost } = dispatcher.stats()
  const droppedToday: Record<string, number> = { ...today.dropped }
  for (const [reason, count] of Object.entries(devices.drops()))
    droppedToday[reason] = (droppedToday[reason] ?? 0) + count
  return {
    waiting: queued + leased,
    answeredToday: today.ended.done,
    failedToday: today.ended.failed + today.ended.expired,
    droppedToday,
    lost,
  }
}
