// How far boards are on their way to the version they should serve: each board's place, and one sentence over all. Pure.
import type { InfoMessage, PackageState } from '../../../broker/protocol/messages.ts'
import type { Device, ModelPlace } from '../shapes.ts'

/** What is known of a board: what it said last, and whether it is there. */
export interface PlacedBoard {
  readonly id: string
  readonly name: string
  readonly state: Device['state']
  readonly models: InfoMessage['models']
  readonly packages: readonly PackageState[]
}

export interface WantedVersion {
  readonly version: string
  /** Of the model file. */
  readonly sha256: string
  /** For this board alone. */
  readonly pinned: boolean
}

/** A board may say whatever it likes, at any length. */
const MAX_REASON = 300
const cut = (reason: string): string => (reason.length <= MAX_REASON ? reason : `${reason.slice(0, MAX_REASON)}…`)

export const isThere = ({ state }: PlacedBoard): boolean => state !== 'offline' && state !== 'new'

function progressOf(
  board: PlacedBoard,
  model: string,
  wanted: WantedVersion,
): Pick<ModelPlace, 'state' | 'percent' | 'reason'> {
  if (!isThere(board)) return { state: 'unreachable' }
  const { version, sha256 } = wanted
  if (board.models.some((one) => one.id === model && one.version === version && one.digest === sha256))
    return { state: 'serving' }
  const onItsWay = board.packages.find((one) => one.id === model && one.version === version)
  if (!onItsWay) return { state: 'asked' }
  const { state, percent, reason } = onItsWay
  return { state, ...(percent !== undefined && { percent }), ...(reason !== undefined && { reason: cut(reason) }) }
}

/** What boards that are there refuse to serve, the most frequent first; the first reason stands for all. */
export function refusedBy(all: readonly PlacedBoard[]): { model: string; boards: number; reason: string }[] {
  const refused = all.filter(isThere).flatMap(({ packages }) => packages.filter(({ state }) => state === 'refused'))
  const groups = Map.groupBy(refused, ({ id, version }) => `${id}@${version}`)
  return [...groups]
    .map(([model, some]) => ({ model, boards: some.length, reason: cut(some[0]?.reason ?? 'no reason was given') }))
    .sort((a, b) => b.boards - a.boards)
}

/** Undefined where the board neither serves the model nor should. */
export function placeOf(board: PlacedBoard, model: string, wanted: WantedVersion | undefined): ModelPlace | undefined {
  const { version: serves, besideFp32 } = board.models.find(({ id }) => id === model) ?? {}
  if (serves === undefined && wanted === undefined) return undefined
  return {
    device: { id: board.id, name: board.name },
    pinned: wanted?.pinned ?? false,
    ...(serves !== undefined && { serves }),
    ...(besideFp32 && { besideFp32 }),
    ...(wanted && { wants: wanted.version, ...progressOf(board, model, wanted) }),
  }
}

const boards = (count: number): string => `${count} ${count === 1 ? 'board' : 'boards'}`
const listed = (parts: readonly string[]): string => parts.filter((part) => part !== '').join(', ')

/** Counts by what they say, the most frequent first: `1.0.0 on 2 boards`. */
function tally(texts: readonly string[]): [string, number][] {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return [...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b))
}

const WAY_WORDS = {
  asked: ['has not begun', 'have not begun'],
  waiting: ['is waiting', 'are waiting'],
  downloading: ['is downloading', 'are downloading'],
  checking: ['is checking it', 'are checking it'],
  proving: ['is proving it', 'are proving it'],
  unreachable: ['cannot be reached', 'cannot be reached'],
} as const

function way(places: readonly ModelPlace[], state: keyof typeof WAY_WORDS): string {
  const some = places.filter((place) => place.state === state)
  const [first] = some
  if (!first) return ''
  const words = `${some.length} ${WAY_WORDS[state][some.length === 1 ? 0 : 1]}`
  const percents = some.flatMap(({ percent }) => (percent === undefined ? [] : [Math.floor(percent)]))
  if (state === 'downloading' && percents.length > 0) {
    const [least, most] = [Math.min(...percents), Math.max(...percents)]
    return `${words} (${least === most ? least : `${least} to ${most}`} %)`
  }
  return state === 'waiting' && first.reason !== undefined ? `${words}: ${first.reason}` : words
}

/** A reason may differ only in its numbers: the first one stands for all. */
function refusals(places: readonly ModelPlace[]): string {
  const refused = places.filter(({ state }) => state === 'refused')
  const [first] = refused
  if (!first) return ''
  return `${refused.length} refused it${first.reason === undefined ? '' : `: ${first.reason}`}`
}

const pins = (pinned: readonly ModelPlace[]): string =>
  listed(
    tally(pinned.map(({ wants }) => wants ?? '')).map(([version, count]) => `${boards(count)} pinned to ${version}`),
  )

/** `3 of 5 boards serve 1.1.0, 1 is downloading (40 %), 1 refused it: …` */
export function sentenceOf(places: readonly ModelPlace[], version: string | undefined): string {
  const others = places.filter(({ pinned }) => pinned)
  const pinned = others.length === 0 ? '' : ` ${pins(others)}.`
  const free = places.filter((place) => !place.pinned)
  if (version === undefined) {
    const served = listed(tally(free.flatMap(({ serves }) => serves ?? [])).map(([v, n]) => `${v} on ${boards(n)}`))
    const own = served === '' ? 'no board serves it' : `boards serve what is in their own folders: ${served}`
    return `No version is set; ${own}.${pinned}`
  }
  if (free.length === 0) return `${version} is set for the fleet, and no board is there to serve it.${pinned}`
  const serving = free.filter(({ state }) => state === 'serving').length
  const states = ['downloading', 'checking', 'proving', 'waiting', 'asked', 'unreachable'] as const
  const rest = [...states.map((state) => way(free, state)), refusals(free)]
  return `${listed([`${serving} of ${boards(free.length)} ${free.length === 1 ? 'serves' : 'serve'} ${version}`, ...rest])}.${pinned}`
}
