// What the routes call: each address of the API bound to the trade or view that answers it.
import type { Context } from 'hono'
import type { Kysely } from 'kysely'
import type { Catalog } from '../../models/catalog.ts'
import type { AppOptions } from '../app.ts'
import type { Bus } from '../bus.ts'
import type { Config } from '../config.ts'
import type { createEnrolment } from '../fleet/enrolment.ts'
import { createMetrics } from '../metrics.ts'
import type { Overview } from '../routes/shapes.ts'
import { createFeed } from '../routes/views/feed.ts'
import { createOverview } from '../routes/views/overview.ts'
import type { Store } from '../store/open.ts'
import type { Database } from '../store/schema.ts'
import { answerFor, enrollmentDesk } from './answers.ts'
import type { Broker } from './broker.ts'
import type { ConsoleKeys } from './keys.ts'
import { createLostDesk } from './lost-desk.ts'
import { type Money, settle } from './money.ts'
import { packageDesks } from './registry.ts'
import { createOwnerDesk, createRequesterDesk, createWalletDesk, waitingChanges } from './requester-desk.ts'
import { createRewardDesk } from './reward-desk.ts'
import type { Surroundings } from './surroundings.ts'
import type { Trades } from './trades.ts'
import { openViews, type Views, workOf } from './views.ts'

export interface DeskOptions {
  readonly config: Config
  readonly store: Store
  readonly catalog: Catalog
  readonly keys: ConsoleKeys
  readonly trades: Trades
  readonly money: Money
  readonly broker: Broker
  readonly bus: Bus
  readonly enrolment: ReturnType<typeof createEnrolment>
  /** The console's address as a board reaches it. */
  readonly publicUrl: () => string
}

async function countBy(db: Kysely<Database>, table: 'payout_batches' | 'receipts'): Promise<Record<string, number>> {
  const rows = await db
    .selectFrom(table)
    .select((eb) => ['state', eb.fn.countAll<number>().as('count')])
    .groupBy('state')
    .execute()
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]))
}

/** Requests through a socket have an address; `app.request()` of a test has none. */
function addressOf(c: Context): string {
  const env = c.env as { incoming?: { socket: { remoteAddress?: string } } } | undefined
  return env?.incoming?.socket.remoteAddress ?? 'unknown'
}

const LIMITS = { jsonBytes: 16 * 1024, enrolPerMinute: 120 }

interface Shown {
  readonly views: Views
  readonly overview: () => Promise<Overview>
}

function publicDesk(
  options: DeskOptions,
  { views, overview }: Shown,
  surroundings: Surroundings,
): AppOptions['public'] {
  const { now, version } = surroundings
  const { trades, bus, broker, store } = options
  const { db } = store
  const startedAt = now()
  return {
    version,
    upS: () => Math.round((now() - startedAt) / 1000),
    probe: async () => void (await db.selectFrom('meta').select('key').limit(1).execute()),
    metrics: createMetrics({
      overview,
      tasks: () => {
        const { queued, leased, ended } = trades.dispatcher.stats()
        return { queued, leased, ...ended }
      },
      payouts: () => countBy(db, 'payout_batches'),
      receipts: () => countBy(db, 'receipts'),
      bus: bus.stats,
      broker: broker.stats,
      treasury: views.money.coverage,
    }),
    jwks: () => ({ keys: trades.issuer.jwks().keys.map((key) => ({ ...key })) }),
  }
}

function taskDesk({ trades }: DeskOptions, { views }: Shown): AppOptions['tasks'] {
  const { requesters, dispatcher, frames } = trades
  return {
    tasks: views.tasks.list,
    task: views.tasks.get,
    frame: frames.get,
    requesterFor: async (asked) =>
      (asked === undefined ? (await requesters.list())[0] : await requesters.get(asked))?.id,
    ask: (asking) => answerFor(dispatcher, asking),
    answer: dispatcher.waitFor,
  }
}

function moneyDesk(
  { config, store, money, trades }: DeskOptions,
  { views }: Shown,
  now: () => number,
): Pick<AppOptions, 'rewards' | 'reconcile' | 'lost' | 'payouts'> {
  const moved = (): void => trades.events.emit({ about: 'rewards' })
  return {
    rewards: createRewardDesk({ store, views, treasury: money.treasury, shares: config, now, moved }),
    reconcile: { reconcile: money.reconcile },
    lost: createLostDesk({ store, now, moved }),
    payouts: {
      payouts: views.payouts.list,
      payout: views.payouts.detail,
      settle: () => settle(money.payouts, views.payouts),
    },
  }
}

function fundingDesks(
  { store, trades, money, publicUrl }: DeskOptions,
  now: () => number,
): Pick<AppOptions, 'requesters' | 'owners' | 'wallets'> {
  const { funding, payouts } = money
  const moved = (): void => trades.events.emit({ about: 'rewards' })
  const rewired = (): void => trades.events.emit({ about: 'wallets' })
  const options = { store, requesters: trades.requesters, funding, payouts, publicUrl, now, moved, rewired }
  return {
    requesters: createRequesterDesk(options),
    owners: createOwnerDesk(options),
    wallets: createWalletDesk(options),
  }
}

export function openDesk(options: DeskOptions, surroundings: Surroundings) {
  const { config, store, keys, trades, money, broker, bus, enrolment } = options
  const { now, log, stopping, packageRoot } = surroundings
  const views = openViews(options, now)
  const walletChanges = () => waitingChanges(money.funding)
  const overview = createOverview({
    db: store.db,
    now,
    boards: views.boards.list,
    work: () => workOf(trades),
    refused: views.models.refused,
    stopped: views.software.stopped,
    pulse: trades.pulse,
    money: views.money,
    treasury: money.treasury,
    troubles: money.troubles,
    walletChanges,
    broker: { url: broker.url, connected: () => bus.connected },
  })
  const feed = createFeed({
    listen: trades.events.listen,
    tasks: views.tasks.many,
    devices: views.boards.many,
    payouts: views.payouts.many,
    walletChanges,
    overview,
    now,
  })
  const shown = { views, overview }
  const requesterOf = async (key: string) => (await trades.requesters.authenticate(key))?.id
  const packages = packageDesks({ trades, views }, surroundings, addressOf)
  const earnings = moneyDesk(options, shown, now)
  const app: AppOptions = {
    guard: { consoleToken: keys.token, requesterOf },
    public: publicDesk(options, shown, surroundings),
    enrol: { enrol: enrolment.enrol, renew: enrolment.renew, challenge: trades.challenges.make },
    overview: { overview },
    devices: { devices: views.boards.list, device: views.boards.detail, remove: trades.devices.remove },
    commands: { ...trades.commands, has: (device) => trades.devices.get(device) !== undefined },
    tasks: taskDesk(options, shown),
    models: views.models,
    ...packages,
    ...earnings,
    boardReceipts: {
      guard: packages.boards.guard,
      receiptsOf: views.receipts.ofDevice,
      receipt: views.receipts.one,
      proof: earnings.rewards.proof,
    },
    ...fundingDesks(options, now),
    chain: { transaction: money.transaction },
    enrollments: enrollmentDesk(options, now),
    events: { subscribe: feed.subscribe, stopping },
    dist: `${packageRoot}/console/ui/dist`,
    limits: { ...LIMITS, frameBytes: config.frameBytes },
    now,
    log: log.child({ part: 'http' }),
    addressOf,
  }
  return { app, feed }
}
