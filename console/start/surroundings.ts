// What every part of the start takes from outside: time, chance, the log, and where to leave what must be closed.
import type { Logger } from 'pino'
import type { Closers } from '../closers.ts'
import type { Sleep } from '../loops.ts'

export interface Surroundings {
  readonly log: Logger
  readonly now: () => number
  readonly sleep: Sleep
  readonly randomBytes: (size: number) => Buffer
  /** Folder of the package. */
  readonly packageRoot: string
  readonly version: string
  /** Closed in reverse order when the process stops, or when the start fails half-way. */
  readonly stack: Pick<Closers, 'defer'>
  /** Aborted when the process is asked to stop. */
  readonly stopping: AbortSignal
}
