// The page's one conversation with the console: who is asking, what the open page needs, and the stream of events.
import { effect, signal } from '@preact/signals'
import type { ConsoleEvent } from '../routes/shapes.ts'
import type { Route } from './addresses.ts'
import { createApi, type Outcome } from './api.ts'
import { followEvents } from './events.ts'
import { createFrames } from './frames.ts'
import { route } from './router.ts'
import {
  applyEvents,
  bearer,
  boardMoves,
  clockMs,
  connection,
  detail,
  devices,
  forget,
  isBehind,
  loadTasks,
  models,
  moneyMoves,
  overview,
  refusal,
  rewards,
  software,
} from './state.ts'

const STORED_AS = 'bramble.token'
/** A Date header says whole seconds: closer than this is no difference. */
const SAME_CLOCK_MS = 2000
/** Events are applied together this often; a busy bus costs no more drawing than a quiet one. */
const APPLY_EVERY_MS = 200
const MONEY_EVERY_MS = 2000
/** A download tells its progress by the second. */
const BOARD_EVERY_MS = 1000
const MODELS_EVERY_MS = 2000
const LISTED_TASKS = 100

let clockOffsetMs = 0
const setClock = (consoleMs: number): void => {
  const offset = consoleMs + 500 - Date.now()
  clockOffsetMs = Math.abs(offset) < SAME_CLOCK_MS ? 0 : offset
  clockMs.value = Date.now() + clockOffsetMs
}

/** A late refusal of a token that was replaced meanwhile means nothing. */
function refuse(token: string | undefined): void {
  if (token === bearer.peek()) logOut('The console does not know this token. It changes when the data folder does.')
}

export const api = createApi({
  bearer: () => bearer.peek(),
  fetch: (input, init) => fetch(input, init),
  onClock: setClock,
  onRefused: refuse,
})

const measure = async (url: string) => {
  const image = new Image()
  image.src = url
  try {
    await image.decode()
    return { width: image.naturalWidth, height: image.naturalHeight }
  } catch {
    // Not a picture this browser can draw; the answer is still shown.
    return undefined
  }
}

export const frames = createFrames({
  fetchBlob: api.frame,
  measure,
  makeUrl: (blob) => URL.createObjectURL(blob),
  revokeUrl: (url) => URL.revokeObjectURL(url),
})

export function logIn(token: string): void {
  sessionStorage.setItem(STORED_AS, token)
  bearer.value = token
}

export function logOut(problem?: string): void {
  sessionStorage.removeItem(STORED_AS)
  frames.clear()
  forget(problem)
}

/** The token from `#token=…`, which leaves the address at once, or the one of this tab. */
export function takeToken(): void {
  const fromHash = new URLSearchParams(location.hash.slice(1)).get('token')
  if (fromHash) {
    history.replaceState(null, '', location.pathname + location.search)
    logIn(fromHash)
  } else bearer.value = sessionStorage.getItem(STORED_AS) ?? undefined
}

/** Puts what was read where it belongs, or says why not. An answer for a page already left is dropped. */
async function read<T>(what: string, asked: Route, call: Promise<Outcome<T>>, put: (value: T) => void): Promise<void> {
  const outcome = await call
  if (route.peek() !== asked) return
  if (outcome.ok) {
    if (refusal.peek()?.what === what) refusal.value = undefined
    put(outcome.value)
  } else if (outcome.status !== 0) refusal.value = { ...outcome, what }
}

const readers = {
  overview: (at: Route) => read('overview', at, api.overview(), (value) => (overview.value = value)),
  software: (at: Route) => read('software', at, api.software(), (value) => (software.value = value)),
  devices: (at: Route) => read('devices', at, api.devices(), (value) => (devices.value = value)),
  tasks: (at: Route) => read('tasks', at, api.tasks(LISTED_TASKS), loadTasks),
  models: (at: Route) => read('models', at, api.models(), (value) => (models.value = value)),
  rewards: (at: Route) => read('rewards', at, api.rewards(), (value) => (rewards.value = value)),
  device: (at: Route) =>
    at.page === 'device' ? read('device', at, api.device(at.id), (value) => (detail.value = value)) : undefined,
}

/** What each page shows; the events keep it fresh from there. */
const NEEDS: Readonly<Record<Route['page'], readonly (keyof typeof readers)[]>> = {
  overview: ['overview', 'tasks'],
  devices: ['overview', 'devices', 'software'],
  device: ['overview', 'device'],
  'add-board': ['overview', 'devices'],
  tasks: ['overview', 'tasks'],
  models: ['overview', 'models'],
  earnings: ['overview', 'rewards'],
  transaction: ['overview'],
  unknown: ['overview'],
}

function loadPage(at: Route): void {
  refusal.value = undefined
  for (const need of NEEDS[at.page]) void readers[need](at)
}

/** After a change of the page's own; changes of boards come by themselves. */
export function loadModels(): void {
  const at = route.peek()
  if (NEEDS[at.page].includes('models')) void readers.models(at)
}

export function loadSoftware(): void {
  const at = route.peek()
  if (NEEDS[at.page].includes('software')) void readers.software(at)
}

/** Receipts, balances and what a board earned are not in the events: they are read again when money moved. */
const MONEY_READERS = ['rewards', 'device', 'devices'] as const

function loadMoney(at: Route): void {
  for (const reader of MONEY_READERS) if (NEEDS[at.page].includes(reader)) void readers[reader](at)
}

const sleep = (ms: number, stop: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    const cut = () => {
      clearTimeout(timer)
      resolve()
    }
    stop.addEventListener('abort', cut, { once: true })
  })

/** Counts connections, so that what was missed while there was none is read again. */
const connections = signal(0)
let retryNow = new AbortController()
export const reconnect = (): void => retryNow.abort()

function listen(token: string, stop: AbortSignal): void {
  let waiting: ConsoleEvent[] = []
  const apply = () => {
    applyEvents(waiting)
    waiting = []
  }
  const loop = followEvents(
    {
      open: api.openEvents,
      onEvent: (event) => {
        if (waiting.push(event) === 1) setTimeout(apply, APPLY_EVERY_MS)
      },
      onLive: () => {
        connection.value = { kind: 'live' }
        connections.value += 1
      },
      onLost: (retryMs) => {
        const before = connection.peek()
        const sinceMs = before.kind === 'offline' ? before.sinceMs : Date.now()
        connection.value = { kind: 'offline', sinceMs, retryAtMs: Date.now() + retryMs }
      },
      onRefused: () => refuse(token),
      sleep: (ms, signal) => {
        retryNow = new AbortController()
        return sleep(ms, AbortSignal.any([signal, retryNow.signal]))
      },
      random: Math.random,
    },
    stop,
  )
  void loop
}

/** Runs `work` at once and then at most every `gapMs`, once more after the last call. */
function paced(gapMs: number, work: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let again = false
  const turn = () => {
    timer = again ? setTimeout(turn, gapMs) : undefined
    if (again) work()
    again = false
  }
  return () => {
    again = true
    if (timer === undefined) turn()
  }
}

/** Starts the clock, the events and the reading; they live as long as the page. */
export function startSession(): void {
  const tick = () => {
    clockMs.value = Date.now() + clockOffsetMs
  }
  tick()
  setInterval(tick, 1000)
  effect(() => {
    if (bearer.value === undefined) return
    const stop = new AbortController()
    listen(bearer.value, stop.signal)
    return () => stop.abort()
  })
  effect(() => {
    const at = route.value
    connections.value
    if (bearer.value !== undefined) loadPage(at)
  })
  const again = paced(BOARD_EVERY_MS, () => void readers.device(route.peek()))
  effect(() => {
    if (detail.value && isBehind(detail.value)) again()
  })
  const versions = paced(MODELS_EVERY_MS, () => {
    loadModels()
    loadSoftware()
  })
  effect(() => {
    if (boardMoves.value > 0) versions()
  })
  const money = paced(MONEY_EVERY_MS, () => loadMoney(route.peek()))
  effect(() => {
    if (moneyMoves.value > 0) money()
  })
}
