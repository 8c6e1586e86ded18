// What the birth message says of packages that should be served and are not: where each is, and why.
import type { PackageState } from '../../broker/protocol/messages.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import type { Clock } from '../clock.ts'
import { type Current, folderKey, type Target } from './plan.ts'

/** The step under way. */
export interface Activity {
  readonly release: string
  readonly state: 'downloading' | 'checking' | 'proving'
  /** Of the file that is coming. */
  readonly arrivedBytes: number
}

/** Why a release is not tried now. */
export type ReasonOf = (release: string) => string | undefined

export function statesOf(current: Current, target: Target, reasonOf: ReasonOf, activity?: Activity): PackageState[] {
  if (target === 'folder') return []
  return target
    .filter(({ id, release }) => current.served.get(id) !== release)
    .map(({ id, version, release }) => {
      const known = current.releases.get(release)
      if (known?.refused !== undefined) return { id, version, state: 'refused', reason: known.refused }
      const percent = percentOf(current, release, activity)
      const reason = reasonOf(release)
      return {
        id,
        version,
        state: activity?.release === release ? activity.state : 'waiting',
        ...(percent !== undefined && { percent }),
        ...(reason !== undefined && { reason }),
      }
    })
}

/** Packages of the board's own folder that did not load, and which nothing of the console's takes the place of. */
export function folderStatesOf(
  { served }: Current,
  target: Target,
  reasonOf: ReasonOf,
  folder: ReadonlyMap<string, ModelPackage>,
): PackageState[] {
  const isWanted = (id: string): boolean => target !== 'folder' && target.some((one) => one.id === id)
  return [...folder].flatMap(([id, { manifest }]) => {
    const reason = served.has(id) || isWanted(id) ? undefined : reasonOf(folderKey(id))
    return reason === undefined ? [] : [{ id, version: manifest.version, state: 'waiting' as const, reason }]
  })
}

/** Of the bytes; undefined while nothing is known of them, and when all are here. */
function percentOf({ releases }: Current, release: string, activity: Activity | undefined): number | undefined {
  const known = releases.get(release)
  if (known === undefined || known.missing.length === 0 || known.bytes === 0) return undefined
  const missing = known.missing.reduce((sum, { bytes }) => sum + bytes, 0)
  const arrived = activity?.release === release ? activity.arrivedBytes : 0
  return Math.floor(((known.bytes - missing + arrived) / known.bytes) * 100)
}

/** How often a mere percentage is worth a message. */
const PERCENT_MS = 5_000

/** Calls `say` when what is served or on its way has changed: at once, but percentages only every few seconds. */
export function createNews(
  say: () => void,
  elapsed: Clock['elapsed'],
): (served: ReadonlyMap<string, string>, states: readonly PackageState[]) => void {
  let saidAt = Number.NEGATIVE_INFINITY
  let said = ''
  let saidRoughly = ''
  return (served, states) => {
    const text = JSON.stringify([[...served], states])
    const roughly = JSON.stringify([[...served], states.map(({ percent: _, ...state }) => state)])
    if (text === said || (roughly === saidRoughly && elapsed() - saidAt < PERCENT_MS)) return
    said = text
    saidRoughly = roughly
    saidAt = elapsed()
    say()
  }
}
