// What a broker does not take, on a connection that is as good as before: too large for it, or not allowed.
import type { Logger } from 'pino'
import type { ResultMessage } from '../../broker/protocol/messages.ts'
import type { Clock } from '../clock.ts'
import { codeOf } from '../private-file.ts'

/** What was refused is tried again after this long, and after ever longer while it goes on; everything else goes on meanwhile. */
const AGAIN_MS = { first: 10_000, longest: 10 * 60_000 } as const

type Publish = (topic: string, payload: string) => Promise<void>

/** Undefined when the error is about the connection, not about the one message (codes of broker/link/terms.ts). */
export const refusalOf = (error: unknown): 'too-large' | 'publish-refused' | undefined => {
  const code = codeOf(error)
  return code === 'too-large' || code === 'publish-refused' ? code : undefined
}

/** Publishes an error in place of an answer that no try will get through: whoever asked is told. */
export const createTolerant =
  (publish: Publish, log: Logger): Publish =>
  async (topic, payload) => {
    try {
      await publish(topic, payload)
    } catch (error) {
      if (!(error instanceof Error) || refusalOf(error) !== 'too-large') throw error
      log.warn({ topic, reason: error.message }, 'an answer is too large for the broker: an error is sent instead')
      await publish(topic, shrunk(payload, error.message))
    }
  }

/** The payload is one of our own, so its shape is known. */
function shrunk(payload: string, reason: string): string {
  const { id, model, device, at, ms } = JSON.parse(payload) as ResultMessage
  const error = { code: 'too-large', message: `the answer cannot be sent: ${reason}` } as const
  return JSON.stringify({ id, model, device, at, ms, error } satisfies ResultMessage)
}

/** Rows that the broker refused, given back together a while later. */
export function createRefused(
  clock: Pick<Clock, 'elapsed' | 'after'>,
  log: Logger,
  again: (seqs: readonly number[]) => void,
) {
  const seqs: number[] = []
  let waitMs: number = AGAIN_MS.first
  let lastAt = Number.NEGATIVE_INFINITY
  let stop: (() => void) | undefined

  function plan(error: unknown): void {
    const isNew = clock.elapsed() - lastAt > 2 * waitMs
    waitMs = isNew ? AGAIN_MS.first : Math.min(AGAIN_MS.longest, 2 * waitMs)
    if (isNew) log.warn({ err: error }, 'the broker refuses an answer; it is kept and tried again')
    stop = clock.after(waitMs, () => again(seqs.splice(0)))
  }

  return {
    add(seq: number, error: unknown): void {
      if (seqs.length === 0) plan(error)
      lastAt = clock.elapsed()
      seqs.push(seq)
    },
    close: () => stop?.(),
  }
}
