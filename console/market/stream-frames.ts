// Stream frames: taken in without a promise, leased at once or dropped and counted.
import type { ResultError } from '../../broker/protocol/messages.ts'
import type { OpenTask } from './book.ts'
import { answerId, answerTopic, type Market, type Round, refusal } from './round.ts'
import { taskRow } from './rows.ts'
import type { WaitingFrame } from './streams.ts'

type Sender = Pick<OpenTask, 'requester' | 'model' | 'requestId' | 'frameId'>

/** Counts a frame that nobody will answer, and now and then tells its sender why. */
export function refuseFrame(market: Market, round: Round, task: Sender, error: ResultError): void {
  market.counters.dropped(error.code)
  const notice = market.streams.notice(task, error.code, round.now)
  if (!notice) return
  const message = notice.missed > 0 ? `${error.message} (${notice.missed} more since the last notice)` : error.message
  const answer = refusal(answerId(task), task.model, round.now, { ...error, message })
  round.tell({ topic: answerTopic({ ...task, kind: 'frame' }), payload: JSON.stringify(answer) })
}

export function dropFrame(market: Market, round: Round, task: OpenTask, error: ResultError): void {
  market.streams.remove(task.id)
  market.book.remove(task)
  refuseFrame(market, round, task, error)
}

/** The newest frame of a stream takes the place of one that still waits. */
export function takeFrame(market: Market, frame: WaitingFrame): void {
  const older = market.streams.replace(frame)
  if (older) {
    market.book.remove(older.task)
    market.counters.dropped('newer-frame')
  }
  market.book.add(frame.task)
}

/** A frame becomes a row only now that a board takes it. Its bytes, or undefined when its budget does not cover it. */
export async function admitFrame(market: Market, round: Round, task: OpenTask): Promise<Uint8Array | undefined> {
  const waiting = market.streams.get(task.id)
  if (!waiting) return undefined
  const reserved = await round.reserve(task.requester, task.id, task.price)
  if (!reserved.ok) {
    dropFrame(market, round, task, noBudget(task.model, task.price, reserved.left))
    return undefined
  }
  await round.trx
    .insertInto('tasks')
    .values({ ...taskRow(task, waiting.inputSha256), state: 'queued' })
    .execute()
  market.counters.accepted()
  round.note({ type: 'task-accepted', task: task.id, state: 'queued' })
  round.later(() => {
    market.streams.remove(task.id)
    market.frames.keep(task.id, task.contentType, waiting.data)
  })
  return waiting.data
}

export const noBudget = (model: string, price: bigint, left: bigint): ResultError => ({
  code: 'budget-exhausted',
  message: `the budget has ${left} base units left and a task of ${model} costs ${price}: add to the budget`,
})
