// Everything the page knows, as signals, and the moves that change them. Nothing here talks to the network.
import { batch, computed, signal } from '@preact/signals'
import type {
  ConsoleEvent,
  Device,
  DeviceDetail,
  ModelView,
  Overview,
  PayoutView,
  Rewards,
  SoftwareView,
  TaskView,
} from '../routes/shapes.ts'
import type { Token } from './amounts.ts'

export type Connection =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'offline'; readonly sinceMs: number; readonly retryAtMs: number }

export interface Refusal {
  /** What was asked for: a later good answer to the same takes the refusal away. */
  readonly what: string
  readonly status: number
  readonly message: string
}

/** More would only be scrolled past, and every event walks the list. */
const KEPT_TASKS = 200
const KEPT_BOARD_TASKS = 60
const KEPT_HISTORY = 600

export const bearer = signal<string | undefined>(undefined)
/** Why the page asks for a token again. */
export const loginProblem = signal<string | undefined>(undefined)
export const connection = signal<Connection>({ kind: 'connecting' })
/** The console's clock, once a second; ages are told by it. */
export const clockMs = signal(0)

export const overview = signal<Overview | undefined>(undefined)
export const devices = signal<readonly Device[] | undefined>(undefined)
export const tasks = signal<readonly TaskView[] | undefined>(undefined)
export const detail = signal<DeviceDetail | undefined>(undefined)
export const rewards = signal<Rewards | undefined>(undefined)
export const models = signal<readonly ModelView[] | undefined>(undefined)
export const software = signal<SoftwareView | undefined>(undefined)
/** Counts what was heard of boards; Models asks again when it grows, since what they serve is not in the events. */
export const boardMoves = signal(0)
/** Counts the console's hints that money moved; Earnings asks again when it grows. */
export const moneyMoves = signal(0)
/** The payout that became final last, while this page looked. */
export const arrival = signal<{ readonly payout: PayoutView; readonly seenMs: number } | undefined>(undefined)
/** Why the present page's data could not be had, in the console's words. */
export const refusal = signal<Refusal | undefined>(undefined)
/** Live lists hold still while somebody reads them. */
export const paused = signal(false)

export const token = computed<Token>(() => overview.value?.token ?? rewards.value?.token ?? { symbol: '', decimals: 0 })

const isOpen = ({ state }: TaskView): boolean => state === 'queued' || state === 'leased'

/** A list read before an event arrived may come in after it: an ended task is never shown as open again. */
const newer = (known: TaskView, told: TaskView): TaskView => (isOpen(told) && !isOpen(known) ? known : told)

/** Newest first, one entry per id. */
export function mergeTask(list: readonly TaskView[], task: TaskView, kept: number): TaskView[] {
  const at = list.findIndex((known) => known.id === task.id)
  if (at !== -1) return list.map((known, place) => (place === at ? newer(known, task) : known))
  const place = list.findIndex((known) => known.acceptedAt <= task.acceptedAt)
  return list.toSpliced(place === -1 ? list.length : place, 0, task).slice(0, kept)
}

function mergeDevice(list: readonly Device[], device: Device): readonly Device[] {
  const at = list.findIndex((known) => known.id === device.id)
  return at === -1 ? [...list, device].sort((a, b) => a.name.localeCompare(b.name)) : list.with(at, device)
}

/** What GET /api/tasks answered, under whatever the events have already told. */
export const loadTasks = (list: readonly TaskView[]): void => {
  const known = tasks.value ?? []
  tasks.value = known.reduce<readonly TaskView[]>((all, task) => mergeTask(all, task, KEPT_TASKS), list)
}

/** Its birth message or vitals have been told anew since this was read. */
export const isBehind = ({ device, info, vitals }: DeviceDetail): boolean =>
  device.told !== undefined && device.told !== `${info?.at ?? ''} ${vitals?.at ?? ''}`

/** A board's new numbers on its open page: one more point in its charts for each heartbeat. */
export function extendDetail(known: DeviceDetail, device: Device): DeviceDetail {
  const at = device.clocks.heartbeatAt
  const { memMiB } = device
  if (at === undefined || memMiB === undefined || known.history.at(-1)?.at === at) return { ...known, device }
  const point = {
    at,
    rate: device.rate,
    queue: device.queue,
    memMiB,
    ...(device.tempC !== undefined && { tempC: device.tempC }),
    ...(device.energy && { energy: device.energy }),
  }
  return { ...known, device, history: [...known.history, point].slice(-KEPT_HISTORY) }
}

function applyOne(event: ConsoleEvent): void {
  switch (event.event) {
    case 'overview':
      overview.value = event.data
      return
    case 'device':
      boardMoves.value += 1
      if (devices.value) devices.value = mergeDevice(devices.value, event.data)
      if (detail.value?.device.id === event.data.id) detail.value = extendDetail(detail.value, event.data)
      return
    case 'task':
      tasks.value = mergeTask(tasks.value ?? [], event.data, KEPT_TASKS)
      if (detail.value && detail.value.device.id === event.data.device?.id)
        detail.value = { ...detail.value, tasks: mergeTask(detail.value.tasks, event.data, KEPT_BOARD_TASKS) }
      return
    case 'payout':
      if (event.data.state === 'finalized') arrival.value = { payout: event.data, seenMs: clockMs.peek() }
      moneyMoves.value += 1
      return
    case 'rewards':
    case 'wallets':
      moneyMoves.value += 1
  }
}

/** Applies what arrived since the last call as one change: the page draws once however busy the bus is. */
export const applyEvents = (events: readonly ConsoleEvent[]): void => {
  batch(() => events.forEach(applyOne))
}

/** Out: nothing of the last session stays on the screen. */
export const forget = (problem?: string): void => {
  batch(() => {
    bearer.value = undefined
    loginProblem.value = problem
    connection.value = { kind: 'connecting' }
    for (const known of [overview, devices, tasks, detail, models, rewards, arrival, refusal]) known.value = undefined
  })
}
