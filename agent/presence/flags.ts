// What is not as it should be now, as codes: the console says what to do about each.
import type { VitalFlag } from '../../broker/protocol/messages.ts'
import type { Disk } from './storage.ts'
import type { HeatState } from './thermal.ts'
import type { Throttling } from './throttling.ts'

/** Less than this, and the outbox or a model package may find no room. */
export const DISK_FULL_MIB = 64
/** Deadlines are a few seconds long: a clock this far off makes tasks expire, or never. */
export const CLOCK_WRONG_MS = 30_000

export interface Circumstances {
  readonly throttling?: Throttling | undefined
  readonly heat: HeatState
  readonly disk?: Disk | undefined
  readonly clockSkewMs?: number | undefined
}

/** Worst first: a heartbeat that is too long leaves the last ones out. */
export function flagsNow({ throttling, heat, disk, clockSkewMs }: Circumstances): VitalFlag[] {
  const own: (VitalFlag | false)[] = [
    disk?.readOnly === true && 'disk-read-only',
    disk !== undefined && disk.freeMiB < DISK_FULL_MIB && 'disk-full',
    clockSkewMs !== undefined && Math.abs(clockSkewMs) > CLOCK_WRONG_MS && 'clock-wrong',
    heat !== 'normal' && 'slowed',
  ]
  return [...(throttling?.now ?? []), ...own.filter((flag) => flag !== false)]
}
