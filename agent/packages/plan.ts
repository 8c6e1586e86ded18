// From what lies on this board to what it should serve: pure, so that every step may be the last one before a power cut.
// The plan is made anew after each step, and whatever was done already is not in it.
import type { Desired, ReleaseFile } from '../../broker/protocol/packages.ts'

export type Wanted = NonNullable<Desired['models']>[number]
/** The models of the board's own folder; those that the console names are served as it says. */
export type Target = 'folder' | readonly Wanted[]

/** What is known of a release on this board. */
export interface Known {
  /** `staged`: its list of files is here; `checked`: all of them are, and fit; `placed`: under its own name, for good. */
  readonly stage: 'none' | 'staged' | 'checked' | 'placed'
  readonly missing: readonly ReleaseFile[]
  /** Of all its files; 0 until its list is here. */
  readonly bytes: number
  /** Its golden cases came out right on this board, with this agent and this runtime. */
  readonly proven: boolean
  /** Why it is never served as things are. */
  readonly refused?: string
}

/** What an id is served with: a release by its digest, or the package of the board's own folder. */
export const FROM_FOLDER = 'folder'

/** The package of the board's own folder among what is held back: it has no release. */
export const folderKey = (id: string): string => `${FROM_FOLDER}:${id}`

/** Under what a step that failed is held back; undefined for those that have no outside to fail by. */
export function keyOf(step: Step): string | undefined {
  if ('release' in step) return step.release
  return step.do === 'activate-folder' ? folderKey(step.id) : undefined
}

export interface Last {
  readonly release: string
  /** What the id was served with before: kept for the way back. */
  readonly previous?: string
}

export interface Current {
  readonly served: ReadonlyMap<string, string>
  readonly releases: ReadonlyMap<string, Known>
  /** What each id was served with last, also by processes before this one. */
  readonly last: ReadonlyMap<string, Last>
  /** Ids that the board's own folder can serve. */
  readonly folder: ReadonlySet<string>
  /** Releases, and packages of the folder by `folderKey`, that failed a while ago and are not tried yet. */
  readonly held: ReadonlySet<string>
  /** Releases by their last use, the latest first. */
  readonly recent: readonly string[]
  readonly quotaBytes: number
}

export type Step =
  | { readonly do: 'retire'; readonly id: string }
  | { readonly do: 'activate'; readonly id: string; readonly release: string }
  | { readonly do: 'activate-folder'; readonly id: string }
  | { readonly do: 'prove'; readonly id: string; readonly release: string }
  | { readonly do: 'place'; readonly release: string }
  | { readonly do: 'check'; readonly release: string }
  | { readonly do: 'evict'; readonly release: string }
  | { readonly do: 'postpone'; readonly release: string; readonly reason: string }
  | { readonly do: 'fetch-release'; readonly release: string }
  | { readonly do: 'fetch-file'; readonly release: string; readonly file: ReleaseFile }

/** What serves comes first; what the network is needed for comes last, one model after the other. */
const ORDER = {
  retire: 0,
  activate: 1,
  'activate-folder': 1,
  prove: 2,
  place: 3,
  check: 4,
  evict: 5,
  postpone: 6,
  'fetch-release': 7,
  'fetch-file': 8,
} as const satisfies Record<Step['do'], number>

export const needsNetwork = (step: Step): boolean => step.do === 'fetch-release' || step.do === 'fetch-file'

/** Steps in the order they should be done. Empty: this board is as it should be, as far as it can be now. */
export function plan(current: Current, target: Target): readonly Step[] {
  const wanted = target === 'folder' ? [] : target
  const own = [...current.folder].filter((id) => !wanted.some((one) => one.id === id))
  const steps = [
    ...wanted.flatMap((one) => towards(current, one, wanted)),
    ...own.flatMap((id) => fromFolder(current, id)),
  ]
  return [...retirements(current, target), ...steps, ...evictions(current, target)].sort(
    (a, b) => ORDER[a.do] - ORDER[b.do],
  )
}

/** Also of what is not served just now: as long as an id is remembered, its last versions take up room in the cache. */
function retirements({ served, last, releases, folder }: Current, target: Target): Step[] {
  const ids = new Set([...folder, ...(target === 'folder' ? [] : target.map(({ id }) => id))])
  const refused = [...served].filter(([, release]) => releases.get(release)?.refused !== undefined).map(([id]) => id)
  const unwanted = [...served.keys(), ...last.keys()].filter((id) => !ids.has(id))
  return [...new Set([...refused, ...unwanted])].map((id) => ({ do: 'retire', id }))
}

function fromFolder({ served, folder, held }: Current, id: string): Step[] {
  const isDue = folder.has(id) && served.get(id) !== FROM_FOLDER && !held.has(folderKey(id))
  return isDue ? [{ do: 'activate-folder', id }] : []
}

function towards(current: Current, { id, release }: Wanted, wanted: readonly Wanted[]): Step[] {
  if (current.served.get(id) === release) return []
  const known = current.releases.get(release)
  const isStuck = known?.refused !== undefined || current.held.has(release)
  if (!isStuck && known?.stage === 'placed') return [serve(id, release, known)]
  return [...standIn(current, id), ...(isStuck ? [] : prepare(current, release, known, wanted))]
}

const serve = (id: string, release: string, { proven }: Known): Step => ({
  do: proven ? 'activate' : 'prove',
  id,
  release,
})

/** Until the wanted version can serve, the last one does that still can. */
function standIn(current: Current, id: string): Step[] {
  if (current.served.has(id)) return []
  const last = current.last.get(id)
  for (const release of [last?.release, last?.previous]) {
    const known = release === undefined ? undefined : current.releases.get(release)
    if (release === undefined || known?.stage !== 'placed') continue
    if (known.refused === undefined && !current.held.has(release)) return [serve(id, release, known)]
  }
  return fromFolder(current, id)
}

function prepare(current: Current, release: string, known: Known | undefined, wanted: readonly Wanted[]): Step[] {
  if (known === undefined || known.stage === 'none') return [{ do: 'fetch-release', release }]
  if (known.stage === 'checked') return [{ do: 'place', release }]
  if (known.missing.length === 0) return [{ do: 'check', release }]
  const reason = lackOfRoom(current, release, known, wanted)
  if (reason !== undefined) return [{ do: 'postpone', release, reason }]
  return known.missing.map((file) => ({ do: 'fetch-file', release, file }))
}

const MIB = 1024 * 1024
const inMiB = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`

/** What is served, and what it replaced, is not given up for anything; before anything is served, what was. */
function keptOf({ served, last }: Current): Set<string> {
  const kept = [...last.values()].flatMap(({ release, previous }) => [release, previous])
  return new Set([...served.values(), ...kept].filter((release) => release !== undefined))
}

const bytesOf = ({ releases }: Current, isCounted: (release: string, known: Known) => boolean): number =>
  [...releases].reduce((sum, [release, known]) => sum + (isCounted(release, known) ? known.bytes : 0), 0)

/** What of it is here; of one that is fetched before this one, what will be. */
function bytesBeside(known: Known, isBefore: boolean): number {
  if (known.stage === 'none') return 0
  return known.bytes - (isBefore ? 0 : known.missing.reduce((sum, { bytes }) => sum + bytes, 0))
}

/** Beside it stay what is kept and what else is wanted, as far as that is here or comes first. */
function lackOfRoom(current: Current, release: string, known: Known, wanted: readonly Wanted[]): string | undefined {
  const { releases, held, quotaBytes } = current
  const kept = keptOf(current)
  const place = (one: string): number => wanted.findIndex((other) => other.release === one)
  let besideBytes = 0
  for (const [other, its] of releases) {
    const isWanted = place(other) >= 0 && its.refused === undefined
    if (other === release || !(isWanted || (its.stage === 'placed' && kept.has(other)))) continue
    besideBytes += bytesBeside(its, isWanted && place(other) < place(release) && !held.has(other))
  }
  if (besideBytes + known.bytes <= quotaBytes) return undefined
  return `it takes ${inMiB(known.bytes)}, and what is served, was served before or is wanted as well takes ${inMiB(besideBytes)} of the ${inMiB(quotaBytes)} that --cache-mib allows`
}

/** Half-done things that nobody wants any more; and, where room is short, what was not used for longest. */
function evictions(current: Current, target: Target): Step[] {
  const wanted = new Set(target === 'folder' ? [] : target.map(({ release }) => release))
  const isWanted = (release: string): boolean =>
    wanted.has(release) && current.releases.get(release)?.refused === undefined
  const onDisk = [...current.releases].filter(([, { stage }]) => stage !== 'none')
  const abandoned = onDisk.filter(([release, { stage }]) => stage !== 'placed' && !isWanted(release))
  const kept = keptOf(current)
  const spare = onDisk
    .filter(([release, { stage }]) => stage === 'placed' && !isWanted(release) && !kept.has(release))
    .sort(([a], [b]) => ageOf(current, b) - ageOf(current, a))
  let bytes = bytesOf(current, (release, { stage }) => stage === 'placed' || (stage !== 'none' && isWanted(release)))
  const evicted = spare.filter(([, known]) => {
    if (bytes <= current.quotaBytes) return false
    bytes -= known.bytes
    return true
  })
  return [...abandoned, ...evicted].map(([release]) => ({ do: 'evict', release }))
}

const ageOf = ({ recent }: Current, release: string): number => {
  const at = recent.indexOf(release)
  return at < 0 ? recent.length : at
}
