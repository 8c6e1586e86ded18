// Tells systemd how the service is (Type=notify): ready, what it does, stopping, and, where the unit has a watchdog, that
// the work goes on. Node cannot write to a datagram socket, so `systemd-notify`, which comes with systemd, does it: 6 ms three
// times in a watchdog period. The unit needs NotifyAccess=all for it.
import { execFile } from 'node:child_process'
import type { Logger } from 'pino'
import type { Clock } from './clock.ts'

/** Assignments of sd_notify(3), e.g. `READY=1`. */
export type Notify = (assignments: readonly string[]) => Promise<void>

export interface Systemd {
  /** It serves: from now on the watchdog is fed. */
  ready(): void
  /** What it is doing changed. */
  changed(): void
  /** It is on its way out; systemd's own stop timeout counts from here on. */
  stopping(): Promise<void>
}

interface Options {
  readonly notify: Notify
  /** Milliseconds of the watchdog; absent: the unit has none. */
  readonly watchdogMs?: number
  /** Why the work is stuck, if it is. */
  readonly stuck: () => string | undefined
  /** One line for `systemctl status`. */
  readonly status: () => string
  readonly clock: Pick<Clock, 'after'>
  readonly log: Logger
}

type Environment = Readonly<Record<string, string | undefined>>

/** A ping may be late by its own length twice. */
const PINGS_PER_PERIOD = 3
const NOTIFY_MS = 5_000

/** Undefined where no service manager listens. */
export function notifyOf(env: Environment): Notify | undefined {
  const { NOTIFY_SOCKET, PATH } = env
  if (NOTIFY_SOCKET === undefined || NOTIFY_SOCKET === '') return undefined
  return (assignments) =>
    new Promise((resolve, reject) => {
      execFile(
        'systemd-notify',
        [...assignments],
        { env: { NOTIFY_SOCKET, PATH }, timeout: NOTIFY_MS },
        (error: Error | null) => (error ? reject(error) : resolve()),
      )
    })
}

/** As sd_watchdog_enabled(3) reads it: for this process, or for whichever reads it. */
export function watchdogOf(env: Environment, pid: number): number | undefined {
  const { WATCHDOG_USEC, WATCHDOG_PID } = env
  const ms = Number(WATCHDOG_USEC) / 1000
  const ours = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === pid
  return ours && ms > 0 ? ms : undefined
}

export function createSystemd({ notify, watchdogMs, stuck, status, clock, log }: Options): Systemd {
  let failures = 0
  let wasStuck: string | undefined
  let said = ''
  let stop: (() => void) | undefined

  async function tell(...assignments: readonly string[]): Promise<void> {
    said = status()
    try {
      await notify([...assignments, `STATUS=${said.replaceAll('\n', ' ')}`])
      failures = 0
    } catch (error) {
      failures += 1
      if (failures === 1) log.error({ err: error }, 'systemd cannot be told: is systemd-notify installed?')
    }
  }

  function ping(everyMs: number): void {
    const reason = stuck()
    if (reason === undefined) {
      if (wasStuck !== undefined) log.warn('the work goes on: the watchdog is fed again')
      void tell('WATCHDOG=1')
    } else if (wasStuck === undefined) {
      log.error({ reason }, 'the work stands still: the watchdog is not fed any more, and will restart this service')
      void tell()
    }
    wasStuck = reason
    stop = clock.after(everyMs, () => ping(everyMs))
  }

  return {
    ready() {
      void tell('READY=1')
      if (watchdogMs !== undefined) ping(watchdogMs / PINGS_PER_PERIOD)
    },
    changed() {
      if (status() !== said) void tell()
    },
    stopping() {
      stop?.()
      return tell('STOPPING=1')
    },
  }
}

/** Where there is no service manager. */
export const NO_SYSTEMD: Systemd = {
  ready: () => undefined,
  changed: () => undefined,
  stopping: () => Promise.resolve(),
}
