// Tasks as the page and the API show them.
import type { Kysely, Selectable } from 'kysely'
import type { ResultMessage } from '../../../broker/protocol/messages.ts'
import type { Database } from '../../store/schema.ts'
import type { TaskView } from '../shapes.ts'
import type { TaskFilter } from '../tasks.ts'

export interface TaskViewOptions {
  readonly db: Kysely<Database>
  readonly nameOf: (device: string) => string
  readonly hasFrame: (task: string) => boolean
}

/** Everything but the payload: a list of tasks must not read megabytes of pictures. */
const COLUMNS = [
  'id',
  'request_id',
  'requester_id',
  'kind',
  'model',
  'state',
  'device_id',
  'attempts',
  'accepted_at',
  'done_at',
  'result',
  'price_units',
] as const
type Row = Pick<Selectable<Database['tasks']>, (typeof COLUMNS)[number]>

const iso = (at: number): string => new Date(at).toISOString()

export function createTaskViews({ db, nameOf, hasFrame }: TaskViewOptions) {
  const view = (row: Row): TaskView => ({
    id: row.id,
    requestId: row.request_id,
    requester: row.requester_id,
    kind: row.kind,
    model: row.model,
    state: row.state,
    ...(row.device_id !== null && { device: { id: row.device_id, name: nameOf(row.device_id) } }),
    attempts: row.attempts,
    acceptedAt: iso(row.accepted_at),
    ...(row.done_at !== null && { doneAt: iso(row.done_at) }),
    // Written by the dispatcher from a parsed ResultMessage, so it is not parsed a second time.
    ...(row.result !== null && { answer: JSON.parse(row.result) as ResultMessage }),
    price: String(row.price_units),
    frame: hasFrame(row.id),
  })
  const select = () => db.selectFrom('tasks').select(COLUMNS)

  return {
    /** Newest first: ULIDs sort by the time they were made. */
    async list({ state, model, device, requester, before, limit }: TaskFilter): Promise<TaskView[]> {
      let query = select().orderBy('id', 'desc').limit(limit)
      if (state !== undefined) query = query.where('state', '=', state)
      if (model !== undefined) query = query.where('model', '=', model)
      if (device !== undefined) query = query.where('device_id', '=', device)
      if (requester !== undefined) query = query.where('requester_id', '=', requester)
      if (before !== undefined) query = query.where('id', '<', before)
      return (await query.execute()).map(view)
    },

    async many(ids: readonly string[]): Promise<TaskView[]> {
      return ids.length === 0 ? [] : (await select().where('id', 'in', ids).orderBy('id').execute()).map(view)
    },

    async get(id: string): Promise<TaskView | undefined> {
      const row = await select().where('id', '=', id).executeTakeFirst()
      return row && view(row)
    },
  }
}
export type TaskViews = ReturnType<typeof createTaskViews>
