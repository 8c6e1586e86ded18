// The console's numbers for Prometheus. Each is read when it is asked for, so nothing is counted twice.
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Overview, Rewards } from './routes/shapes.ts'

export interface MetricSources {
  readonly overview: () => Promise<Overview>
  /** Tasks by state: the open ones as they are, the ended ones ever. */
  readonly tasks: () => Readonly<Record<string, number>>
  readonly payouts: () => Promise<Readonly<Record<string, number>>>
  readonly receipts: () => Promise<Readonly<Record<string, number>>>
  /** Messages heard, and those that made no sense by what was wrong. */
  readonly bus: () => { readonly heard: number; readonly complaints: Readonly<Record<string, number>> }
  /** The embedded broker's numbers; none with an external one. */
  readonly broker: () => Readonly<Record<string, number>>
  readonly treasury: () => Promise<Rewards['treasury']>
}

type Values = Readonly<Record<string, number>>

type Gauges = (name: string, help: string, read: () => Promise<number | undefined>) => unknown

/** One scrape reads the treasury once; what is answered forgets it. */
function treasuryGauges(gauge: Gauges, read: MetricSources['treasury']): () => void {
  let treasury: Promise<Rewards['treasury']> | undefined
  const covered = (): Promise<Rewards['treasury']> => {
    treasury ??= read()
    return treasury
  }
  const amount = (units: string | undefined): number | undefined => (units === undefined ? undefined : Number(units))
  gauge(
    'bramble_treasury_coverage',
    'Treasury balance over liabilities; absent while nothing is owed or the chain does not answer',
    async () => (await covered()).coverage,
  )
  gauge(
    'bramble_treasury_balance_units',
    'Base units that the treasury holds, deposit accounts included; absent while the chain does not answer',
    async () => amount((await covered()).balance),
  )
  gauge(
    'bramble_liabilities_units',
    'Base units owed to requesters, owners and publishers, unpaid payouts included',
    async () => amount((await covered()).liabilities),
  )
  return () => {
    treasury = undefined
  }
}

export function createMetrics(sources: MetricSources) {
  const register = new Registry()
  collectDefaultMetrics({ register })

  const gauge = (name: string, help: string, read: () => number | undefined | Promise<number | undefined>) =>
    new Gauge({
      name,
      help,
      registers: [register],
      async collect() {
        const value = await read()
        if (value === undefined) this.remove()
        else this.set(value)
      },
    })

  const gauges = (name: string, help: string, label: string, read: () => Values | Promise<Values>) =>
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [register],
      async collect() {
        this.reset()
        for (const [value, number] of Object.entries(await read())) this.set({ [label]: value }, number)
      },
    })

  /** The source counts; this shows where it stands. */
  const counters = (name: string, help: string, label: string, read: () => Values | Promise<Values>) =>
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [register],
      async collect() {
        this.reset()
        for (const [value, number] of Object.entries(await read())) this.inc({ [label]: value }, number)
      },
    })

  let shown: Promise<Overview> | undefined
  /** One scrape makes one overview, however many numbers come from it. */
  const overview = (): Promise<Overview> => {
    shown ??= sources.overview()
    return shown
  }

  gauges('bramble_boards', 'Boards by state', 'state', async () => {
    const { total: _, ...states } = (await overview()).devices
    return states
  })
  gauge(
    'bramble_answers_per_second',
    'Answers per second over the last 10 s',
    async () => (await overview()).inferencesPerS,
  )
  gauge(
    'bramble_tasks_lost',
    'Accepted tasks neither open nor ended: anything but 0 is a bug',
    async () => (await overview()).tasks.lost,
  )
  gauges('bramble_tasks', 'Tasks by state; the ended ones since the database began', 'state', sources.tasks)
  gauges(
    'bramble_frames_dropped_today',
    'Frames dropped since midnight UTC, by reason',
    'reason',
    async () => (await overview()).tasks.droppedToday,
  )
  gauges('bramble_payouts', 'Payout batches (transactions) by state', 'state', sources.payouts)
  gauges('bramble_receipts', 'Receipts by state', 'state', sources.receipts)
  const forgetTreasury = treasuryGauges(gauge, sources.treasury)
  counters(
    'bramble_bus_bad_messages_total',
    'Messages that made no sense, by what was wrong',
    'what',
    () => sources.bus().complaints,
  )
  counters('bramble_bus_messages_total', 'Messages heard by the console', 'direction', () => ({
    in: sources.bus().heard,
  }))
  gauges('bramble_broker', 'Numbers of the embedded broker', 'name', sources.broker)

  return async (): Promise<{ contentType: string; text: string }> => {
    shown = undefined
    forgetTreasury()
    return { contentType: register.contentType, text: await register.metrics() }
  }
}
