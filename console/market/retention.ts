// What becomes of ended tasks: answers that were not handed over are told again, money that nobody claims goes back, and
// old rows go.
import { accounts } from '../rewards/accounts.ts'
import { post } from '../rewards/ledger.ts'
import { answerTopic, type Market, type Round } from './round.ts'

/** Rows per turn: a long backlog must not hold up the tasks of this moment. */
const ROWS = 500

/** Ended by `before` and not handed over to the requester; `underWay` are being handed over now. */
export async function answerAgain(round: Round, before: number, underWay: ReadonlySet<string>): Promise<void> {
  const rows = await round.trx
    .selectFrom('tasks')
    .select(['id', 'kind', 'requester_id', 'request_id', 'model', 'result'])
    .where('answered_at', 'is', null)
    .where('done_at', '<=', before)
    .orderBy('done_at')
    .limit(ROWS)
    .execute()
  for (const row of rows) {
    if (row.result === null || underWay.has(row.id)) continue
    const task = { kind: row.kind, requester: row.requester_id, requestId: row.request_id, model: row.model }
    round.tell({ topic: answerTopic(task), payload: row.result, answers: row.id })
  }
}

export async function markAnswered(round: Round, tasks: readonly string[]): Promise<void> {
  if (tasks.length === 0) return
  await round.trx.updateTable('tasks').set({ answered_at: round.now }).where('id', 'in', tasks).execute()
}

/** Gives back what was reserved for answers that no receipt claimed in time. A held receipt keeps its claim. */
export async function releaseUnclaimed(market: Market, round: Round): Promise<number> {
  const rows = await round.trx
    .selectFrom('tasks')
    .select(['id', 'requester_id', 'price_units'])
    .where('settled_at', 'is', null)
    .where('done_at', '<=', round.now - market.limits.unclaimedMs)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('receipts')
            .select('receipts.id')
            .whereRef('receipts.task_id', '=', 'tasks.id')
            .where('receipts.state', '=', 'held'),
        ),
      ),
    )
    .limit(ROWS)
    .execute()
  if (rows.length === 0) return 0
  await post(
    round.trx,
    rows.map((row) => ({
      kind: 'release',
      ref: row.id,
      from: accounts.reserved(row.requester_id),
      to: accounts.budget(row.requester_id),
      amount: row.price_units,
      at: round.now,
    })),
  )
  const ids = rows.map((row) => row.id)
  await round.trx.updateTable('tasks').set({ settled_at: round.now }).where('id', 'in', ids).execute()
  return rows.length
}

/** Forgets ended tasks that are too old or too many, but none whose answer or money is still open. */
export async function prune(market: Market, round: Round): Promise<number> {
  const { keptMs, keptTasks } = market.limits
  const tooMany = await round.trx
    .selectFrom('tasks')
    .select('done_at')
    .where('done_at', 'is not', null)
    .orderBy('done_at', 'desc')
    .offset(keptTasks)
    .limit(1)
    .executeTakeFirst()
  const before = Math.max(round.now - keptMs, tooMany?.done_at ?? 0)
  const rows = await round.trx
    .selectFrom('tasks')
    .select('id')
    .where('done_at', '<=', before)
    .where('settled_at', 'is not', null)
    .where('answered_at', 'is not', null)
    .limit(ROWS)
    .execute()
  if (rows.length === 0) return 0
  const ids = rows.map((row) => row.id)
  await round.trx.deleteFrom('tasks').where('id', 'in', ids).execute()
  return rows.length
}
