// Reads the board's power sensors and the processor's use every few seconds, and says what happened in between.
import type { Interval } from './energy.ts'
import { readRails, totalOf } from './rails.ts'
import { type Counter, joulesBetween, readRapl } from './rapl.ts'
import type { Tree } from './sysfs.ts'

/** `USER_HZ`: 100 on every architecture this runs on. */
const TICKS_PER_S = 100

interface Use {
  readonly busyS: number
  readonly cpuS: number
}

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal; guests are in user. */
export function useOf(stat: string | undefined): Use | undefined {
  const ticks = /^cpu +([\d ]+)/
    .exec(stat ?? '')?.[1]
    ?.split(' ')
    .slice(0, 8)
    .map(Number)
  if (ticks === undefined || ticks.length < 5) return undefined
  const all = ticks.reduce((sum, tick) => sum + tick, 0)
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0)
  return { busyS: (all - idle) / TICKS_PER_S, cpuS: all / TICKS_PER_S }
}

interface Reading {
  readonly at: number
  readonly use: Use
  /** What is drawn now, or counted so far. */
  readonly watts: number | undefined
  readonly counters: readonly Counter[]
}

export interface Meter {
  /** What happened since the call before; undefined the first time, and on a board that measures nothing. */
  read(): Promise<Interval | undefined>
}

export function createMeter(tree: Tree, elapsed: () => number): Meter {
  let last: Reading | undefined

  async function readNow(): Promise<Reading | undefined> {
    const watts = totalOf(await readRails(tree))
    const counters = watts === undefined ? await readRapl(tree) : []
    if (watts === undefined && counters.length === 0) return undefined
    const use = useOf(await tree.text('proc/stat'))
    return use && { at: elapsed(), use, watts, counters }
  }

  return {
    async read() {
      const before = last
      const now = await readNow()
      last = now
      if (before === undefined || now === undefined) return undefined
      const seconds = (now.at - before.at) / 1000
      const joules =
        now.watts !== undefined && before.watts !== undefined
          ? ((now.watts + before.watts) / 2) * seconds
          : joulesBetween(before.counters, now.counters)
      if (joules === undefined) return undefined
      return { seconds, joules, busyS: now.use.busyS - before.use.busyS, cpuS: now.use.cpuS - before.use.cpuS }
    },
  }
}
