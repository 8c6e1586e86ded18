// What a rollout does next, and how far each board is with it. Pure: the engine writes down what comes out here.
import type { SoftwareState } from '../../broker/protocol/messages.ts'
import type { TryState } from '../store/states.ts'
import { type Rollout, ringOf, type Tries, type Try } from './rings.ts'

/** What is known of a board at this moment. */
export interface SeenBoard {
  readonly id: string
  readonly online: boolean
  /** Epoch ms; of its last word. */
  readonly heardAt: number
  readonly software?: SoftwareState
}

/** Longer than a trial with a slow start: who is silent for so long after a switch does not come back by itself. */
export const LOST_MS = 30 * 60_000

const UNDER_WAY = {
  downloading: 'downloading',
  switching: 'switching',
  refused: 'refused',
  'rolled-back': 'failed',
} as const satisfies Record<NonNullable<SoftwareState['wanted']>['state'], TryState>

/** What the board says of `release` now; undefined: nothing. */
function saidOf({ software }: SeenBoard, release: string): Omit<Try, 'since'> | undefined {
  if (software?.release === release && software.state !== 'packaged') return { state: software.state }
  const { wanted } = software ?? {}
  if (wanted?.release !== release) return undefined
  const { state, reason } = wanted
  return { state: UNDER_WAY[state], ...(reason !== undefined && { reason }) }
}

/** How far the board is, given how far it was. What it proved it has proved; what it failed it has failed, but for a proof. */
export function progress(board: SeenBoard, release: string, before: Try | undefined, now: number): Try | undefined {
  const said = saidOf(board, release)
  const isNews = said && (said.state !== before?.state || said.reason !== before.reason)
  if (isNews && (before?.state !== 'failed' || said.state === 'confirmed')) return { ...said, since: now }
  const isBetween = before?.state === 'switching' || before?.state === 'trial'
  if (!isBetween || board.online || now - Math.max(board.heardAt, before.since) < LOST_MS) return before
  return { state: 'failed', reason: 'it was not heard of for half an hour after it switched', since: now }
}

export type Step =
  | { readonly kind: 'stop'; readonly reason: string }
  | { readonly kind: 'open'; readonly ring: number }
  | { readonly kind: 'done' }

/** One in ten, and one in a small fleet, may fail for reasons of their own. */
const BEARABLE = 0.1

const SETTLED: ReadonlySet<TryState> = new Set(['confirmed', 'refused', 'failed'])
const TRIED: ReadonlySet<TryState> = new Set(['switching', 'trial', 'confirmed', 'failed'])

function stopFor({ version, ring }: Rollout, tries: Tries): Step | undefined {
  const all = [...tries.values()]
  const failed = all.filter(({ state }) => state === 'failed')
  const tried = all.filter(({ state }) => TRIED.has(state)).length
  const bearable = ring === 0 ? 0 : Math.max(1, Math.floor(tried * BEARABLE))
  if (failed.length <= bearable) return undefined
  const why = failed[0]?.reason ?? 'no reason was given'
  return { kind: 'stop', reason: `${failed.length} of ${tried} boards that tried ${version} failed: ${why}` }
}

/** `boards`: those that have a release for their architecture. Undefined: it waits. */
export function decide(rollout: Rollout, boards: readonly SeenBoard[], tries: Tries): Step | undefined {
  if (rollout.state !== 'canary' && rollout.state !== 'widening') return undefined
  const stop = stopFor(rollout, tries)
  if (stop) return stop
  const rings = boards.map((board) => ({ board, ring: ringOf(board.id, rollout) }))
  const open = rings.filter(({ ring }) => ring <= rollout.ring)
  const isSettled = ({ id }: SeenBoard): boolean => SETTLED.has(tries.get(id)?.state ?? 'downloading')
  const isProven = open.some(({ board }) => tries.get(board.id)?.state === 'confirmed')
  if (!isProven || open.some(({ board }) => board.online && !isSettled(board))) return undefined
  const [next] = rings.flatMap(({ ring }) => (ring > rollout.ring ? [ring] : [])).sort()
  return next === undefined ? { kind: 'done' } : { kind: 'open', ring: next }
}
