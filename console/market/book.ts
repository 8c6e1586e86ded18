// The open tasks in memory: who waits, who holds a lease, how many bytes are kept. A cache of the rows in state queued or
// leased, changed only inside the transaction that changes the rows, and loaded from them again after a rollback.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { Load } from './choice.ts'
import { createFairQueue, type FairQueue } from './queue.ts'

export interface OpenTask {
  readonly id: string
  readonly requester: string
  /** The requester's own id. */
  readonly requestId: string
  readonly kind: 'task' | 'frame'
  readonly model: string
  readonly contentType: string
  readonly bytes: number
  readonly price: bigint
  readonly acceptedAt: number
  readonly deadlineAt: number
  readonly frameId: string | undefined
  attempts: number
  /** Boards to pass by until a time, because they refused the task or let its lease end. */
  readonly avoid: Map<string, number>
  lease: { readonly device: string; until: number } | undefined
  /** The board of the lease, or of the one before. */
  lastDevice: string | undefined
}

/** A row's own cost beside its payload, so that a million empty tasks meet the byte cap as well. */
const ROW_BYTES = 1024

export interface Book {
  readonly queue: FairQueue<OpenTask>
  get(id: string): OpenTask | undefined
  /** Takes in a task that waits. */
  add(task: OpenTask): void
  /** The task was taken from the queue and is a board's now. */
  lease(task: OpenTask, device: string, until: number): void
  /** Waiting again, and yet the board that had it last answers. */
  resume(task: OpenTask, device: string): void
  /** The lease is over; the task waits again. */
  requeue(task: OpenTask): void
  remove(task: OpenTask): void
  load(device: string): Load
  leased(): Iterable<OpenTask>
  held(device: string): Iterable<OpenTask>
  readonly size: number
  readonly storedBytes: number
  /** Empties the book and fills it from the rows; what was never a row is gone. */
  reload(db: Kysely<Database>, now: number, avoidMs: number): Promise<void>
}

/** What a payload of so many bytes counts against the cap. */
export const weightOf = (bytes: number): number => bytes + ROW_BYTES

async function openRows(db: Kysely<Database>) {
  return db
    .selectFrom('tasks')
    .selectAll()
    .where('state', 'in', ['queued', 'leased'])
    .orderBy('accepted_at')
    .orderBy('id')
    .execute()
}
type Row = Awaited<ReturnType<typeof openRows>>[number]

function fromRow(row: Row, avoidUntil: number): OpenTask {
  const { device_id: device, lease_until: until } = row
  const isLeased = row.state === 'leased' && device !== null && until !== null
  return {
    id: row.id,
    requester: row.requester_id,
    requestId: row.request_id,
    kind: row.kind,
    model: row.model,
    contentType: row.content_type,
    bytes: row.bytes,
    price: row.price_units,
    acceptedAt: row.accepted_at,
    deadlineAt: row.deadline_at,
    frameId: row.frame_id ?? undefined,
    attempts: row.attempts,
    // The board that had it last and gave no answer.
    avoid: new Map(!isLeased && device !== null ? [[device, avoidUntil]] : []),
    lease: isLeased ? { device, until } : undefined,
    lastDevice: device ?? undefined,
  }
}

interface Board {
  readonly held: Set<OpenTask>
  lastLease: number
}

export function createBook(): Book {
  const tasks = new Map<string, OpenTask>()
  const boards = new Map<string, Board>()
  let queue = createFairQueue<OpenTask>()
  let storedBytes = 0
  let leases = 0

  function boardOf(device: string): Board {
    const board = boards.get(device) ?? { held: new Set(), lastLease: 0 }
    boards.set(device, board)
    return board
  }

  function hold(task: OpenTask, device: string): void {
    const board = boardOf(device)
    board.held.add(task)
    board.lastLease = ++leases
  }

  function endLease(task: OpenTask): void {
    if (task.lease) boards.get(task.lease.device)?.held.delete(task)
    task.lease = undefined
  }

  function add(task: OpenTask): void {
    tasks.set(task.id, task)
    storedBytes += weightOf(task.bytes)
    if (task.lease) hold(task, task.lease.device)
    else queue.add(task)
  }

  return {
    get queue() {
      return queue
    },
    get: (id) => tasks.get(id),
    add,
    lease(task, device, until) {
      task.lease = { device, until }
      task.lastDevice = device
      task.attempts += 1
      hold(task, device)
    },
    resume(task, device) {
      queue.remove(task)
      task.lease = { device, until: task.deadlineAt }
      hold(task, device)
    },
    requeue(task) {
      endLease(task)
      queue.add(task)
    },
    remove(task) {
      if (!tasks.delete(task.id)) return
      storedBytes -= weightOf(task.bytes)
      if (task.lease) endLease(task)
      else queue.remove(task)
    },
    load: (device) => {
      const board = boards.get(device)
      return { outstanding: board?.held.size ?? 0, lastLease: board?.lastLease ?? 0 }
    },
    *leased() {
      for (const { held } of boards.values()) yield* held
    },
    held: (device) => boards.get(device)?.held ?? [],
    get size() {
      return tasks.size
    },
    get storedBytes() {
      return storedBytes
    },
    async reload(db, now, avoidMs) {
      const rows = await openRows(db)
      tasks.clear()
      boards.clear()
      queue = createFairQueue()
      storedBytes = 0
      for (const row of rows) add(fromRow(row, now + avoidMs))
    },
  }
}
