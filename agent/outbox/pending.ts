// What no commit has taken yet, and the one commit that is on its way to the disk.
import type { Logger } from 'pino'
import { codeOf } from '../private-file.ts'
import type { Buffer } from './buffer.ts'
import type { Answer, Written } from './buffer-write.ts'

export interface Pending {
  add(answer: Answer): void
  settle(seq: number): void
  acknowledge(upTo: number): void
  /**
   * All of it goes to the disk; or, where a commit did not come there, that one once more. `cut`: also what earlier writes left in no
   * batch is signed. One at a time.
   */
  commit(cut: boolean, done: (outcome: Outcome) => void): void
  answers(): number
  /** Acknowledgements are to be noted. */
  hasNotes(): boolean
  /** A commit is in the file, and not on disk as far as is known. */
  isHalfDone(): boolean
  /** True for a task whose answer is made but not on disk yet. */
  holds(model: string, task: string): boolean
  failing(): boolean
}

export type Outcome = 'failed' | 'written' | 'cut'

interface Options {
  readonly buffer: Pick<Buffer, 'write' | 'sync'>
  readonly log: Logger
  /** After each commit, once it is on disk; `seqs` are the rows of `answers`. */
  readonly onWritten: (written: Written, answers: readonly Answer[]) => void
}

interface Commit {
  readonly written: Written
  readonly answers: readonly Answer[]
  readonly cut: boolean
}

/** Faults of the disk, which may pass. Anything else (a damaged file, a broken constraint) must end the process. */
export const mayPass = (error: unknown): boolean =>
  /^(SQLITE_(FULL|IOERR|READONLY|BUSY|CANTOPEN|NOMEM)|EIO|ENOSPC|EDQUOT|EROFS|EPERM)/.test(String(codeOf(error)))

export function createPending({ buffer, log, onWritten }: Options): Pending {
  let answers: Answer[] = []
  let pubacked: number[] = []
  let upTo: number | undefined
  let halfDone: Commit | undefined
  let failures = 0

  function failed(error: unknown): 'failed' {
    if (!mayPass(error)) throw error
    failures += 1
    if (failures === 1) log.error({ err: error }, 'results cannot be written: no new work is taken until they can')
    return 'failed'
  }

  function write(cut: boolean): Commit {
    const written = buffer.write({ answers, pubacked, cut, ...(upTo !== undefined && { upTo }) })
    const commit = { written, answers, cut }
    answers = []
    pubacked = []
    upTo = undefined
    return commit
  }

  function onDisk({ written, answers: kept, cut }: Commit): Outcome {
    halfDone = undefined
    if (failures > 0) log.info({ failures }, 'the disk takes results again')
    failures = 0
    if (written.evicted > 0) log.warn({ evicted: written.evicted }, 'the outbox is full: old samples were dropped')
    onWritten(written, kept)
    return cut ? 'cut' : 'written'
  }

  return {
    add: (answer) => void answers.push(answer),
    settle: (seq) => void pubacked.push(seq),
    acknowledge(batch) {
      upTo = Math.max(upTo ?? 0, batch)
    },
    commit(cut, done) {
      let commit: Commit
      try {
        commit = halfDone ?? write(cut)
      } catch (error) {
        return done(failed(error))
      }
      halfDone = commit
      buffer.sync((error) => done(error === undefined ? onDisk(commit) : failed(error)))
    },
    answers: () => answers.length,
    hasNotes: () => pubacked.length > 0 || upTo !== undefined,
    isHalfDone: () => halfDone !== undefined,
    holds(model, task) {
      const isIt = (answer: Answer): boolean => answer.task === task && answer.model === model
      return answers.some(isIt) || halfDone?.answers.some(isIt) === true
    },
    failing: () => failures > 0,
  }
}
