// Every frame that came in is counted out again exactly once: answered, refused (an error answer) or dropped (none).
import type { DropReason, ErrorCode } from '../../broker/protocol/messages.ts'

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
