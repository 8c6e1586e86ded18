// What time does to open tasks: deadlines, the ends of leases, boards that went away.
import type { ResultError } from '../../broker/protocol/messages.ts'
import type { OpenTask } from './book.ts'
import { endTask, errorAnswer, giveUpLease } from './endings.ts'
import type { Market, Round } from './round.ts'
import { dropFrame } from './stream-frames.ts'

/** Why nobody answered in time, with the numbers. */
function tooLate(market: Market, task: OpenTask, now: number): ResultError {
  const serving = market.boards().filter((board) => board.models.includes(task.model)).length
  const after = `within ${((now - task.acceptedAt) / 1000).toFixed(1)} s`
  if (task.attempts > 0) return { code: 'expired', message: `given to ${task.attempts} board(s), no answer ${after}` }
  return serving === 0
    ? { code: 'no-board', message: `no board that serves ${task.model} was online ${after}` }
    : { code: 'expired', message: `${serving} board(s) serve ${task.model}, none had room ${after}` }
}

async function expire(market: Market, round: Round, task: OpenTask): Promise<void> {
  const error = tooLate(market, task, round.now)
  if (task.kind === 'frame' && !task.lease) {
    dropFrame(market, round, task, error)
    return
  }
  const how = error.code === 'no-board' ? 'failed' : 'expired'
  await endTask(market, round, task, { how, answer: errorAnswer(task, round.now, error) })
}

async function endLease(market: Market, round: Round, task: OpenTask): Promise<void> {
  const message = `${task.attempts} board(s) were given this task and none answered within its lease`
  await giveUpLease(market, round, task, errorAnswer(task, round.now, { code: 'no-board', message }))
}

export async function passTime(market: Market, round: Round): Promise<void> {
  const { book } = market
  for (const task of book.queue.due(round.now)) await expire(market, round, task)
  const over = [...book.leased()].filter((task) => (task.lease?.until ?? 0) <= round.now)
  for (const task of over) {
    if (task.deadlineAt <= round.now) await expire(market, round, task)
    else await endLease(market, round, task)
  }
}

/** A board whose connection broke may be back in a moment with the answers; if not, others get its tasks soon. */
export async function shortenLeases(market: Market, round: Round, device: string): Promise<void> {
  const until = round.now + market.limits.goneGraceMs
  await round.trx
    .updateTable('tasks')
    .set({ lease_until: until })
    .where('state', '=', 'leased')
    .where('device_id', '=', device)
    .where('lease_until', '>', until)
    .execute()
  for (const task of market.book.held(device)) if (task.lease) task.lease.until = Math.min(task.lease.until, until)
}
