// Every frame that came in is counted out again exactly once: answered, refused (an error answer) or dropped (none).
import type { ErrorCode } from '../../broker/protocol/messages.ts'

export type DropReason =
  /** A newer frame of the same source came while it waited. */
  | 'newer-frame'
  /** A stream frame met a queue full of tasks. */
  | 'queue-full'
  /** A stream frame waited past its deadline. */
  | 'late'
  /** The task is being worked on, or was answered and its answer is sent again. */
  | 'duplicate'
  /** A retained frame: old by definition, and it would come again at every connection. */
  | 'retained'
  /** The board is too hot to work: a live frame cannot wait until it has cooled down. */
  | 'too-hot'
  /** There is no connection, and the outbox holds as much as it may, or the disk takes nothing. */
  | 'outbox-full'
  | 'disk-failing'
  | 'stopping'

export interface Counts {
  readonly in: number
  readonly answered: number
  readonly refused: number
  readonly dropped: number
  /** Refused and dropped frames by reason. */
  readonly reasons: Readonly<Record<string, number>>
}

export interface Tally {
  arrived(): void
  answered(): void
  refused(code: ErrorCode): void
  dropped(reason: DropReason): void
  counts(): Counts
}

export function createTally(): Tally {
  let arrived = 0
  let answered = 0
  let refused = 0
  let dropped = 0
  const reasons: Record<string, number> = {}
  const note = (reason: string): void => {
    reasons[reason] = (reasons[reason] ?? 0) + 1
  }
  return {
    arrived() {
      arrived += 1
    },
    answered() {
      answered += 1
    },
    refused(code) {
      refused += 1
      note(code)
    },
    dropped(reason) {
      dropped += 1
      note(reason)
    },
    counts: () => ({ in: arrived, answered, refused, dropped, reasons: { ...reasons } }),
  }
}
