// The agent's log: JSON lines on stdout, written off the hot path, limited by cause, the last of them kept for whoever asks
// from afar. A line below the log's level costs nothing: pino puts an empty function in its place.
import { type Logger, pino } from 'pino'
import type { Clock } from './clock.ts'
import { createCauses } from './logs/causes.ts'
import { createRing, type LogRing } from './logs/ring.ts'

export interface LogOutput {
  readonly log: Logger
  readonly ring: Pick<LogRing, 'lines'>
  /** Writes what is still held back; call before exit. */
  flush(): void
}

/** pino's numbers; the last words of a process are never held back. */
const WARN = 40
const FATAL = 60

/** Nobody logs these; the day somebody logs an object that holds one, it is not to be read by others. */
const SECRETS = ['password', 'credential', 'token', 'secret', 'authorization', 'jwt', 'privateKey']

/** A broker's or console's address may carry a user and a password. */
const withoutUser = (url: unknown): unknown =>
  typeof url === 'string' ? url.replace(/\/\/[^/@\s]*@/, '//') : String(url)

/** The same message, whatever its details: what pino calls `msg`, or the error's. */
function causeOf([first, second]: readonly unknown[]): string {
  if (typeof first === 'string') return first
  if (typeof second === 'string') return second
  return first instanceof Error ? first.message : 'no message'
}

export interface LogOptions {
  readonly level: string
  readonly write: (line: string) => void
  readonly clock: Pick<Clock, 'elapsed' | 'after'>
}

/** The log without its stdout. */
export function createLog({ level, write, clock }: LogOptions): Omit<LogOutput, 'flush'> & {
  readonly endMinute: () => void
} {
  const ring = createRing()
  const causes = createCauses({
    elapsed: clock.elapsed,
    after: clock.after,
    tell(cause, more) {
      const [number, text] = [Number.parseInt(cause, 10), cause.replace(/^\d+ /, '')]
      const words = `… and ${more} more like this meanwhile: ${text}`
      if (number < WARN) log.info({ limited: true }, words)
      else log.warn({ limited: true }, words)
    },
  })
  const log: Logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`]), censor: '[secret]' },
      serializers: { url: withoutUser },
      hooks: {
        logMethod(args, method, number) {
          const [first] = args
          const own = typeof first === 'object' && first !== null && 'limited' in first
          if (own || number >= FATAL || causes.may(`${number} ${causeOf(args)}`)) method.apply(this, args)
        },
      },
    },
    {
      write(line: string) {
        ring.add(line)
        write(line)
      },
    },
  )
  return { log, ring, endMinute: causes.flush }
}

/** The end of a minute is no reason for a process to go on. */
const clock: Pick<Clock, 'elapsed' | 'after'> = {
  elapsed: () => performance.now(),
  after(delayMs, then) {
    const timer = setTimeout(then, delayMs).unref()
    return () => clearTimeout(timer)
  },
}

export function openLog(level: string): LogOutput {
  const destination = pino.destination({ dest: 1, sync: false })
  const { log, ring, endMinute } = createLog({ level, clock, write: (line) => void destination.write(line) })
  return {
    log,
    ring,
    flush() {
      endMinute()
      try {
        destination.flushSync()
      } catch {
        // Not open yet: the process ends in its first milliseconds and has said nothing.
      }
    },
  }
}
