// Waiting for the answer of one task, as an HTTP request does.
import { ResultMessage } from '../../broker/protocol/messages.ts'
import type { Store } from '../store/open.ts'
import type { HandOver } from './hand-over.ts'

async function storedAnswer(store: Store, task: string): Promise<ResultMessage | undefined> {
  const row = await store.db.selectFrom('tasks').select('result').where('id', '=', task).executeTakeFirst()
  if (!row) throw new RangeError(`there is no task ${task}`)
  return row.result === null ? undefined : ResultMessage.parse(JSON.parse(row.result))
}

/** Rejects with the signal's reason when it is aborted first, or with RangeError for an unknown task. */
export async function waitForAnswer(
  store: Store,
  handOver: Pick<HandOver, 'onAnswer'>,
  task: string,
  signal: AbortSignal,
): Promise<ResultMessage> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<ResultMessage>()
  // Aborted while the row is being read, it is not awaited yet: that alone is no unhandled rejection.
  promise.catch(() => undefined)
  // Listening begins before looking, so that an answer in between is not missed.
  const stop = handOver.onAnswer(task, resolve)
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return (await storedAnswer(store, task)) ?? (await promise)
  } finally {
    stop()
    signal.removeEventListener('abort', onAbort)
  }
}
