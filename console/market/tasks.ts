// What was asked of the pool lately, newest first, as the console shows it.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { TaskState } from '../store/states.ts'

export interface TaskQuery {
  readonly state?: TaskState
  readonly model?: string
  readonly device?: string
  readonly requester?: string
  /** A task id: answers the ones accepted before it. */
  readonly before?: string
  readonly limit: number
}

const tasks = (db: Kysely<Database>) =>
  db
    .selectFrom('tasks')
    .leftJoin('devices', 'devices.id', 'tasks.device_id')
    .select(['tasks.id', 'request_id', 'requester_id', 'kind', 'model', 'state', 'device_id', 'attempts'])
    .select(['devices.name as device_name', 'accepted_at', 'deadline_at', 'done_at', 'result', 'error_code'])
    .select(['price_units', 'content_type', 'bytes'])

export type TaskRow = Awaited<ReturnType<ReturnType<typeof tasks>['execute']>>[number]

export async function recentTasks(db: Kysely<Database>, query: TaskQuery): Promise<TaskRow[]> {
  const { state, model, device, requester, before, limit } = query
  return (
    tasks(db)
      .$if(state !== undefined, (rows) => rows.where('state', '=', state ?? 'queued'))
      .$if(model !== undefined, (rows) => rows.where('model', '=', model ?? ''))
      .$if(device !== undefined, (rows) => rows.where('device_id', '=', device ?? ''))
      .$if(requester !== undefined, (rows) => rows.where('requester_id', '=', requester ?? ''))
      .$if(before !== undefined, (rows) => rows.where('tasks.id', '<', before ?? ''))
      // Ids are ULIDs: their order is the order of acceptance.
      .orderBy('tasks.id', 'desc')
      .limit(limit)
      .execute()
  )
}

export const taskById = (db: Kysely<Database>, id: string): Promise<TaskRow | undefined> =>
  tasks(db).where('tasks.id', '=', id).executeTakeFirst()
