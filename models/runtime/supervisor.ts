// Keeps one inference process alive: starts it, notices its end, starts the next with a growing pause.
import type { ChildProcess } from 'node:child_process'
import type { Logger } from 'pino'
import { CACHE_FILLED, type HostMessage, type Order } from './messages.ts'

export interface Supervisor {
  readonly isReady: boolean
  readonly pid: number | undefined
  /** Processes started after the first. */
  readonly restarts: number
  /** Ends that nobody asked for. */
  readonly crashes: number
  /** Lost without a word where the process is gone: `ended` follows. */
  send(order: Order): void
  kill(): void
  /** Ends the process in peace; the next one follows at once. */
  recycle(): void
  close(): Promise<void>
}

interface SupervisorDeps {
  readonly spawn: (mayRestart: boolean) => ChildProcess
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly log: Logger
  readonly received: (message: HostMessage) => void
  /** Called once per end, with all messages of that process received; `starts` counts ends before readiness in a row. */
  readonly ended: (how: string, failedStarts: number) => void
}

const CLOSE_LIMIT_MS = 2_000
/** A small board reads it all from a slow card, twice where the compile cache is still empty. */
const START_LIMIT_MS = 120_000
const FIRST_BACK_OFF_MS = 100
const MAX_BACK_OFF_MS = 30_000
/** A process that ends this often before it is ready does not start at all: whoever waits is told. */
export const FAILED_STARTS = 3
/** Then it is tried only now and then: an update or a repair of the system may have helped. */
const NO_START_MS = 10 * 60_000

/** Resolves when the process has ended and everything it said has been read. */
function endOf(child: ChildProcess): Promise<{ how: string; code: number | null }> {
  return new Promise((resolve) => {
    const end = (how: string, code: number | null) => {
      if (child.connected) child.once('disconnect', () => resolve({ how, code }))
      else resolve({ how, code })
    }
    child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`, code))
    // A process that could not be started has no exit.
    child.on('error', (error) => child.pid === undefined && end(error.message, null))
  })
}

const backOffMs = (failures: number, failedStarts: number): number =>
  failedStarts >= FAILED_STARTS ? NO_START_MS : Math.min(MAX_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** failures)

export function createSupervisor({ spawn, sleep, log, received, ended }: SupervisorDeps): Supervisor {
  const closing = new AbortController()
  let child: ChildProcess | undefined
  let isReady = false
  let restarts = 0
  let crashes = 0
  let isKilled = false
  let isRecycled = false
  let failures = 0
  let failedStarts = 0

  function heard(message: HostMessage): void {
    if (message.type === 'ready') {
      isReady = true
      failedStarts = 0
    }
    if (message.type === 'done' && message.outcome.ok) failures = 0
    received(message)
  }

  /** One process from start to end; answers its exit code. */
  async function live(mayRestart: boolean): Promise<number | null> {
    const started = spawn(mayRestart)
    child = started
    started.on('message', (message) => heard(message as HostMessage))
    const late = setTimeout(() => isReady || started.kill('SIGKILL'), START_LIMIT_MS).unref()
    const { how, code } = await endOf(started)
    clearTimeout(late)
    child = undefined
    const wasReady = isReady
    isReady = false
    if (closing.signal.aborted || code === CACHE_FILLED) return code
    if (!wasReady) failedStarts++
    if (!isKilled && !isRecycled) {
      crashes++
      log.error({ pid: started.pid, how }, 'the inference process ended')
    }
    isKilled = false
    ended(how, failedStarts)
    return code
  }

  async function keepAlive(): Promise<void> {
    let mayRestart = true
    while (!closing.signal.aborted) {
      if ((await live(mayRestart)) === CACHE_FILLED) {
        mayRestart = false
        continue
      }
      if (closing.signal.aborted) return
      if (isRecycled) {
        isRecycled = false
        continue
      }
      // The first restart is immediate: whoever crashed it has been answered.
      if (failures > 0) await sleep(backOffMs(failures, failedStarts), closing.signal).catch(() => {})
      failures++
      restarts++
    }
  }
  /** Closing the channel asks the process to go; it cannot hear that inside a run. */
  function leave(): NodeJS.Timeout {
    const leaving = child
    if (leaving?.connected) leaving.disconnect()
    return setTimeout(() => leaving?.kill('SIGKILL'), CLOSE_LIMIT_MS).unref()
  }
  const alive = keepAlive()

  return {
    get isReady() {
      return isReady
    },
    get pid() {
      return child?.pid
    },
    get restarts() {
      return restarts
    },
    send: (order) => void child?.send(order, () => {}),
    get crashes() {
      return crashes
    },
    kill() {
      isKilled = true
      child?.kill('SIGKILL')
    },
    recycle() {
      isRecycled = true
      leave()
    },
    async close() {
      closing.abort()
      const timer = leave()
      await alive
      clearTimeout(timer)
    },
  }
}
