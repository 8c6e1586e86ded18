// Who belongs to which ring of a rollout, and what a board should therefore run. Pure.
import { createHash } from 'node:crypto'
import type { RolloutState, TryState } from '../store/states.ts'

export interface Rollout {
  /** Grows: the newest decides first. */
  readonly id: number
  readonly version: string
  readonly state: RolloutState
  /** Rings 0 to this one are open. */
  readonly ring: number
  /** The first ring, chosen when it began. */
  readonly canaries: readonly string[]
  readonly reason?: string
  readonly startedAt: number
  readonly changedAt: number
}

export interface Try {
  readonly state: TryState
  readonly reason?: string
  readonly since: number
}

/** By device. */
export type Tries = ReadonlyMap<string, Try>

/** Shares of the fleet: named boards, a quarter, everybody. */
export const RINGS = ['canaries', 'a quarter', 'everybody'] as const
const QUARTER = 0.25
const LAST = RINGS.length - 1
/** Of the boards that are there when a rollout begins; one at least. */
const CANARY_SHARE = 0.05

/** 0 to 1, the same for the same board and rollout, and unlike that of the next rollout: the same boards are not always first. */
function lot(device: string, salt: string): number {
  return createHash('sha256').update(`${salt}:${device}`).digest().readUInt32BE() / 2 ** 32
}

export function ringOf(device: string, { id, canaries }: Pick<Rollout, 'id' | 'canaries'>): number {
  if (canaries.includes(device)) return 0
  return lot(device, String(id)) < QUARTER ? 1 : LAST
}

export function chooseCanaries(devices: readonly string[], salt: string): string[] {
  const some = Math.max(1, Math.ceil(devices.length * CANARY_SHARE))
  return [...devices].sort((a, b) => lot(a, salt) - lot(b, salt)).slice(0, some)
}

const SWITCHED: ReadonlySet<TryState> = new Set(['switching', 'trial', 'confirmed'])

/** A board that failed a version is not told to run it; a stopped one is left to those that have switched. */
function isFor(device: string, rollout: Rollout, mine: Try | undefined): boolean {
  if (mine?.state === 'failed') return false
  switch (rollout.state) {
    case 'done':
      return true
    case 'canary':
    case 'widening':
      return ringOf(device, rollout) <= rollout.ring
    case 'stopped':
      return mine !== undefined && SWITCHED.has(mine.state)
    case 'rolled-back':
      return false
  }
}

/** Those that are for this board; `rollouts` come newest first, and so does the answer. */
export const rolloutsFor = (
  device: string,
  rollouts: readonly Rollout[],
  triesOf: (rollout: number) => Tries,
): readonly Rollout[] => rollouts.filter((rollout) => isFor(device, rollout, triesOf(rollout.id).get(device)))
