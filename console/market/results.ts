// What boards answer: taken from the board that holds the lease, and from no other.
import type { ResultMessage } from '../../broker/protocol/messages.ts'
import { moveTask } from '../store/moves.ts'
import type { OpenTask } from './book.ts'
import type { Verdict } from './counters.ts'
import { endTask, giveUpLease, isFinal } from './endings.ts'
import { answerId, type Market, type Round } from './round.ts'

export interface BoardResult {
  readonly device: string
  /** The task id in the topic. */
  readonly task: string
  readonly message: ResultMessage
}

const isAbout = (task: OpenTask, { device, message }: BoardResult): boolean =>
  message.id === task.id &&
  message.device === device &&
  (message.model === task.model || message.model.startsWith(`${task.model}@`))

/** Its lease ended but nobody else has the task: the answer is as good as ever, and a second run would be a waste. */
async function resume(
  market: Market,
  round: Round,
  task: OpenTask,
  { device, message }: BoardResult,
): Promise<boolean> {
  if (task.lease || task.lastDevice !== device || 'error' in message) return false
  const isMoved = await moveTask(round.trx, task.id, 'queued', 'leased', { lease_until: task.deadlineAt }, device)
  if (isMoved) market.book.resume(task, device)
  return isMoved
}

export async function takeResult(market: Market, round: Round, result: BoardResult): Promise<Verdict> {
  const task = market.book.get(result.task)
  if (!task) return 'unknown-task'
  if (!isAbout(task, result)) return 'mismatched'
  if (task.lease?.device !== result.device && !(await resume(market, round, task, result))) return 'not-leased'
  const answer = { ...result.message, id: answerId(task) }
  if (!('error' in answer)) return (await endTask(market, round, task, { how: 'done', answer })) ? 'done' : 'not-leased'
  if (isFinal(answer.error.code)) await endTask(market, round, task, { how: 'failed', answer })
  else await giveUpLease(market, round, task, answer)
  return market.book.get(task.id) ? 'requeued' : 'failed'
}
