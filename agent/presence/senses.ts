// Everything the board can feel, opened once: what the heartbeat says, what the vitals say, how hot it is and what work costs.
import type { Logger } from 'pino'
import type { VitalFlag, VitalsMessage } from '../../broker/protocol/messages.ts'
import type { Clock } from '../clock.ts'
import { createEnergy, type Energy } from './energy.ts'
import { flagsNow } from './flags.ts'
import { createMeter } from './meter.ts'
import { readNetwork } from './network.ts'
import { wattsPerCpuOf } from './profiles.ts'
import { createPrograms } from './programs.ts'
import { readRails } from './rails.ts'
import { readStorage } from './storage.ts'
import { openTree, type Tree } from './sysfs.ts'
import { createThermal, type Thermal } from './thermal.ts'
import { createThermometer, readLimits } from './thermometer.ts'
import { type RunProgram, readThrottling, type Throttling } from './throttling.ts'
import { processorName, readBoard, readVitals, type Vitals } from './vitals.ts'
import { readZones } from './zones.ts'

export interface Senses {
  /** For the work: milliseconds of pause between runs. */
  slow(): number
  readonly thermal: Pick<Thermal, 'state'>
  readonly energy: Pick<Energy, 'of' | 'take'>
  /** For the heartbeat. */
  look(): Promise<{ readonly vitals: Vitals; readonly flags: readonly VitalFlag[] }>
  /** For the vitals message, all but the counters. */
  examine(): Promise<Omit<VitalsMessage, 'at' | 'host'>>
  close(): void
}

interface Options {
  /** The data folder: its disk is watched. */
  readonly folder: string
  readonly clock: Pick<Clock, 'elapsed' | 'after'>
  /** This board's clock minus the console's, ms. */
  readonly skewMs: () => number | undefined
  /** The board slows, pauses or goes on: worth telling at once. */
  readonly changed: () => void
  readonly log: Logger
  readonly tree?: Tree
}

/** Between two readings of the power sensors. */
const METER_MS = 5_000

export async function openSenses({ folder, clock, skewMs, changed, log, tree = openTree() }: Options): Promise<Senses> {
  const [board, processor] = await Promise.all([readBoard(tree), processorName(tree)])
  const energy = createEnergy(wattsPerCpuOf(board.model, processor))
  const read = createThermometer(tree)
  const limits = await readLimits(tree, board)
  const thermal = createThermal({ limits, read, runMs: energy.runMs, clock, changed, log })
  const throttling = createThrottling(tree, createPrograms(clock.elapsed))
  const stopMeter = runMeter(tree, clock, energy)
  return {
    slow: thermal.slow,
    thermal,
    energy,
    async look() {
      const [vitals, throttled, { disk }] = await Promise.all([
        readVitals(tree),
        throttling(),
        readStorage(tree, folder),
      ])
      return { vitals, flags: flagsNow({ throttling: throttled, heat: thermal.state(), disk, clockSkewMs: skewMs() }) }
    },
    examine: async () => message(await examine(tree, folder, throttling), skewMs()),
    close() {
      thermal.close()
      stopMeter()
    },
  }
}

function runMeter(tree: Tree, clock: Pick<Clock, 'elapsed' | 'after'>, energy: Energy): () => void {
  const meter = createMeter(tree, clock.elapsed)
  let stop: () => void = () => {}
  let closed = false
  async function turn(): Promise<void> {
    const interval = await meter.read()
    if (interval) energy.note(interval)
    if (!closed) stop = clock.after(METER_MS, () => void turn())
  }
  void turn()
  return () => {
    closed = true
    stop()
  }
}

/** Drivers clear what has been when they read it: what was seen once since this process began is not forgotten. */
function createThrottling(tree: Tree, run: RunProgram): () => Promise<Throttling | undefined> {
  const seen = new Set<VitalFlag>()
  return async () => {
    const read = await readThrottling(tree, run)
    if (read === undefined) return undefined
    for (const flag of [...read.sinceBoot, ...read.now]) seen.add(flag)
    return { now: read.now, sinceBoot: [...seen] }
  }
}

async function examine(tree: Tree, folder: string, throttling: () => Promise<Throttling | undefined>) {
  const [zones, power, rails, vitals, storage, network, uptime, load] = await Promise.all([
    readZones(tree),
    throttling(),
    readRails(tree),
    readVitals(tree),
    readStorage(tree, folder),
    readNetwork(tree),
    tree.text('proc/uptime'),
    tree.text('proc/loadavg'),
  ])
  return { zones, power, rails, vitals, storage, network, boardUpS: firstNumber(uptime), load1: firstNumber(load) }
}

const firstNumber = (text: string | undefined): number | undefined => {
  const number = Number.parseFloat(text ?? '')
  return Number.isFinite(number) ? number : undefined
}

function message(
  found: Awaited<ReturnType<typeof examine>>,
  clockSkewMs: number | undefined,
): Omit<VitalsMessage, 'at' | 'host'> {
  const { zones, power, rails, vitals, storage, network, boardUpS, load1 } = found
  const { totalMiB, freeMiB, swapUsedMiB } = vitals
  return {
    ...(boardUpS !== undefined && { boardUpS: Math.round(boardUpS) }),
    temperatures: zones.map(({ zone, c }) => ({ zone, c })),
    ...(power && { power }),
    ...(rails.length > 0 && { rails }),
    memory: { totalMiB, freeMiB, ...(swapUsedMiB !== undefined && { swapUsedMiB }) },
    ...storage,
    ...(network && { network }),
    ...(load1 !== undefined && { load1 }),
    ...(clockSkewMs !== undefined && { clockSkewMs }),
  }
}
