// Gives waiting tasks to boards with room; the boards hear of it once it is on disk.
import { type ContentType, encodeFrame } from '../../broker/protocol/envelope.ts'
import { moveTask } from '../store/moves.ts'
import type { OpenTask } from './book.ts'
import { byModel, type Candidate, chooseBoard, hasRoom } from './choice.ts'
import type { Market, Round } from './round.ts'
import { admitFrame } from './stream-frames.ts'

async function payloadOf(market: Market, round: Round, task: OpenTask): Promise<Uint8Array | undefined> {
  if (task.kind === 'frame') return admitFrame(market, round, task)
  const fresh = round.payloads.get(task.id)
  if (fresh) return fresh
  const row = await round.trx
    .selectFrom('task_payloads')
    .select('data')
    .where('task_id', '=', task.id)
    .executeTakeFirst()
  return row?.data
}

async function lease(market: Market, round: Round, task: OpenTask, device: string): Promise<void> {
  const data = await payloadOf(market, round, task)
  if (!data) return
  const until = Math.min(task.deadlineAt, round.now + market.limits.leaseMs)
  const patch = { device_id: device, leased_at: round.now, lease_until: until, attempts: task.attempts + 1 }
  if (!(await moveTask(round.trx, task.id, 'queued', 'leased', patch))) return market.book.remove(task)
  market.book.lease(task, device, until)
  round.note({ type: 'task-leased', task: task.id, state: 'leased' })
  // The board is told the end of its lease as the deadline: an answer after it would be thrown away.
  const source = market.aliasOf(task.requester)
  const frame = { id: task.id, deadline: until, source, contentType: task.contentType as ContentType, data }
  round.tell({
    topic: { kind: 'device-in', device, model: task.model, task: task.id },
    payload: encodeFrame(frame),
  })
}

/** Leases as much as the boards have room for, in fair order. */
export async function leaseAll(market: Market, round: Round): Promise<void> {
  const { book, limits } = market
  if (book.queue.size === 0) return
  const serving = byModel(market.boards())
  const full = new Set<string>()
  const candidates = (model: string): readonly Candidate[] => serving.get(model) ?? []
  const open = (model: string): boolean => {
    if (full.has(model)) return false
    const isOpen = candidates(model).some((board) => hasRoom(board, book.load(board.device), limits.window))
    // Room only shrinks within a round.
    if (!isOpen) full.add(model)
    return isOpen
  }
  const findPlace = (task: OpenTask): string | undefined => {
    const avoided = (device: string): boolean => (task.avoid.get(device) ?? 0) > round.now
    return chooseBoard(candidates(task.model), book.load, avoided, limits.window)
  }
  for (let next = book.queue.take(open, findPlace); next; next = book.queue.take(open, findPlace))
    await lease(market, round, next.task, next.place)
}
