// Nobody wants an answer after the deadline: a run that has not begun by then is not begun any more, whatever it waits for (its
// turn, its model, a process that is long in coming back), and its caller is told at that moment.
import type { ResultError } from '../../broker/protocol/messages.ts'

export const EXPIRED = {
  code: 'expired',
  message: 'the deadline passed before the model began with it',
} as const satisfies ResultError

/** Timers overflow beyond. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/** What is waited for, or undefined once the time is over; then it is handed to `tooLate` when it does come. */
export function inTime<T>(coming: Promise<T>, leftMs: number, tooLate: (got: T) => void): Promise<T | undefined> {
  if (leftMs === Number.POSITIVE_INFINITY) return coming
  return new Promise((resolve, reject) => {
    let isOver = false
    const end = (): void => {
      isOver = true
      resolve(undefined)
    }
    const timer = setTimeout(end, Math.min(LONGEST_TIMER_MS, Math.max(0, leftMs)))
    coming.then((got) => {
      clearTimeout(timer)
      if (isOver) tooLate(got)
      else resolve(got)
    }, reject)
  })
}
