// Frames that boards dropped or refused, by reason: heartbeats carry totals since boot, a day wants differences.
import type { HeartbeatMessage } from '../../broker/protocol/messages.ts'

interface Seen {
  readonly bootedAt: number
  readonly drops: Readonly<Record<string, number>>
}

export interface Drops {
  readonly seen: Map<string, Seen>
  readonly counts: Map<string, number>
  totals(): Readonly<Record<string, number>>
}

export function createDrops(): Drops {
  const counts = new Map<string, number>()
  return { seen: new Map(), counts, totals: () => Object.fromEntries(counts) }
}

/** A heartbeat and the boot it tells of are this far apart at most when they belong together (clock and `upS` rounding). */
const SAME_BOOT_MS = 5_000

/** Adds what was dropped since this board's heartbeat before; the first one after the console's start is the base. */
export function addDrops(all: Drops, device: string, heartbeat: HeartbeatMessage, at: number): void {
  const bootedAt = at - heartbeat.upS * 1000
  const before = all.seen.get(device)
  all.seen.set(device, { bootedAt, drops: heartbeat.drops })
  if (before === undefined) return
  const base = Math.abs(before.bootedAt - bootedAt) < SAME_BOOT_MS ? before.drops : {}
  for (const [reason, total] of Object.entries(heartbeat.drops)) {
    const more = total - (base[reason] ?? 0)
    if (more > 0) all.counts.set(reason, (all.counts.get(reason) ?? 0) + more)
  }
}
