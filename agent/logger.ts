// The agent's log: JSON lines on stdout, written off the hot path.
import { type Logger, pino } from 'pino'

export interface LogOutput {
  readonly log: Logger
  /** Writes what is still held back; call before exit. */
  flush(): void
}

export function openLog(level: string): LogOutput {
  const destination = pino.destination({ dest: 1, sync: false })
  const log = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
  return {
    log,
    flush() {
      try {
        destination.flushSync()
      } catch {
        // Not open yet: the process ends in its first milliseconds and has said nothing.
      }
    },
  }
}
