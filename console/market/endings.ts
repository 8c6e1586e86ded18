// How an open task ends: the move, the money, the answer, in one place. Once ended it is never answered otherwise.
import type { ErrorCode, ResultError, ResultMessage } from '../../broker/protocol/messages.ts'
import { moveTask } from '../store/moves.ts'
import type { OpenTask } from './book.ts'
import type { Ending } from './counters.ts'
import { answerId, answerTopic, type Market, type Round, refusal } from './round.ts'

interface Outcome {
  readonly how: Ending
  /** As the requester gets it. */
  readonly answer: ResultMessage
}

async function moveToEnd(round: Round, task: OpenTask, { how, answer }: Outcome): Promise<boolean> {
  const isPaidLater = how === 'done' && task.price > 0n
  const patch = {
    result: JSON.stringify(answer),
    output_digest: 'digest' in answer ? answer.digest : null,
    error_code: 'error' in answer ? answer.error.code : null,
    done_at: round.now,
    lease_until: null,
    settled_at: isPaidLater ? null : round.now,
  }
  // The guard names the board too: a lease that moved on meanwhile is not this one's to end.
  if (task.lease) return moveTask(round.trx, task.id, 'leased', how, patch, task.lease.device)
  return how !== 'done' && moveTask(round.trx, task.id, 'queued', how, patch)
}

/** False when the row had moved on without us; the task is out of the book either way. */
export async function endTask(market: Market, round: Round, task: OpenTask, outcome: Outcome): Promise<boolean> {
  const isMoved = await moveToEnd(round, task, outcome)
  market.book.remove(task)
  if (!isMoved) return false
  if (task.kind === 'task') await round.trx.deleteFrom('task_payloads').where('task_id', '=', task.id).execute()
  if (outcome.how !== 'done') round.release(task)
  market.counters.ended(outcome.how)
  round.ended(task, outcome.answer)
  round.note({ type: 'task-ended', task: task.id, state: outcome.how })
  round.tell({ topic: answerTopic(task), payload: JSON.stringify(outcome.answer), answers: task.id })
  return true
}

/** What the requester hears when no board gave an answer. */
export const errorAnswer = (task: OpenTask, now: number, error: ResultError): ResultMessage =>
  refusal(answerId(task), task.model, now, error)

/** Refusals that are about the request itself: no other board would answer differently. */
const FINAL: readonly ErrorCode[] = ['bad-envelope', 'bad-frame', 'bad-tensor', 'too-large', 'poison']

export const isFinal = (code: ErrorCode): boolean => FINAL.includes(code)

/**
 * The board holding it gave no answer, or one that another board may better: back into the queue, that board passed by;
 * or failed with `answer`, when it was the last attempt or a stream frame.
 */
export async function giveUpLease(market: Market, round: Round, task: OpenTask, answer: ResultMessage): Promise<void> {
  if (!task.lease) return
  const { device } = task.lease
  if (task.kind === 'frame' || task.attempts >= market.limits.attempts) {
    await endTask(market, round, task, { how: 'failed', answer })
    return
  }
  const isMoved = await moveTask(round.trx, task.id, 'leased', 'queued', { lease_until: null }, device)
  if (!isMoved) return market.book.remove(task)
  task.avoid.set(device, round.now + market.limits.avoidMs)
  market.book.requeue(task)
  round.note({ type: 'task-requeued', task: task.id, state: 'queued' })
}
