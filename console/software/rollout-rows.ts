// Rollouts in the database: a move, its reason and the boards' progress are one transaction.
import type { Kysely, Selectable } from 'kysely'
import { z } from 'zod'
import { moveRollout } from '../store/moves.ts'
import type { Database } from '../store/schema.ts'
import type { ROLLOUT_MOVES } from '../store/states.ts'
import type { Rollout, Try } from './rings.ts'

const rolloutOf = (row: Selectable<Database['software_rollouts']>): Rollout => ({
  id: row.id,
  version: row.version,
  state: row.state,
  ring: row.ring,
  canaries: z.array(z.string()).parse(JSON.parse(row.canaries)),
  ...(row.reason !== null && { reason: row.reason }),
  startedAt: row.started_at,
  changedAt: row.changed_at,
})

export interface RolloutMemory {
  /** Newest first. */
  rollouts: Rollout[]
  readonly tries: Map<number, Map<string, Try>>
}

export async function loadRollouts(db: Kysely<Database>): Promise<RolloutMemory> {
  const rows = await db.selectFrom('software_rollouts').selectAll().orderBy('id', 'desc').execute()
  const tries = new Map(rows.map(({ id }) => [id, new Map<string, Try>()]))
  for (const { rollout_id, device_id, state, reason, since } of await db
    .selectFrom('software_tries')
    .selectAll()
    .execute())
    tries.get(rollout_id)?.set(device_id, { state, since, ...(reason !== null && { reason }) })
  return { rollouts: rows.map(rolloutOf), tries }
}

const noted = (db: Kysely<Database>, rollout_id: number, at: number, what: string) =>
  db.insertInto('software_events').values({ rollout_id, at, what }).execute()

export async function writeStart(
  db: Kysely<Database>,
  { version, canaries }: { version: string; canaries: readonly string[] },
  what: string,
  at: number,
): Promise<Rollout> {
  const values = { version, canaries: JSON.stringify(canaries), state: 'canary', ring: 0 } as const
  return db.transaction().execute(async (trx) => {
    const row = await trx
      .insertInto('software_rollouts')
      .values({ ...values, started_at: at, changed_at: at })
      .returningAll()
      .executeTakeFirstOrThrow()
    await noted(trx, row.id, at, what)
    return rolloutOf(row)
  })
}

export interface Move<F extends keyof typeof ROLLOUT_MOVES> {
  readonly state: (typeof ROLLOUT_MOVES)[F][number]
  readonly ring: number
  readonly reason?: string
  /** Boards that failed may try once more. */
  readonly again?: boolean
}

/** Undefined when it is not in that state any more. */
export async function writeMove<F extends keyof typeof ROLLOUT_MOVES>(
  db: Kysely<Database>,
  from: Rollout & { readonly state: F },
  to: Move<F>,
  what: string,
  at: number,
): Promise<Rollout | undefined> {
  const { state, ring, reason, again } = to
  return db.transaction().execute(async (trx) => {
    const patch = { ring, reason: reason ?? null, changed_at: at }
    if (!(await moveRollout(trx, from.id, from.state, state, patch))) return undefined
    if (again)
      await trx.deleteFrom('software_tries').where('rollout_id', '=', from.id).where('state', '=', 'failed').execute()
    await noted(trx, from.id, at, what)
    const { reason: _, ...rest } = from
    return { ...rest, state, ring, changedAt: at, ...(reason !== undefined && { reason }) }
  })
}

/** From one ring of the widening to the next; undefined when it is not there any more. */
export const writeRing = (db: Kysely<Database>, from: Rollout, ring: number, what: string, at: number) =>
  db.transaction().execute(async (trx) => {
    const { numUpdatedRows } = await trx
      .updateTable('software_rollouts')
      .set({ ring, changed_at: at })
      .where('id', '=', from.id)
      .where('state', '=', 'widening')
      .where('ring', '=', from.ring)
      .executeTakeFirst()
    if (numUpdatedRows !== 1n) return undefined
    await noted(trx, from.id, at, what)
    return { ...from, ring, changedAt: at }
  })

export async function writeTries(db: Kysely<Database>, rollout_id: number, tries: readonly (readonly [string, Try])[]) {
  await db.transaction().execute(async (trx) => {
    for (const [device_id, { state, reason = null, since }] of tries)
      await trx
        .insertInto('software_tries')
        .values({ rollout_id, device_id, state, reason, since })
        .onConflict((conflict) => conflict.columns(['rollout_id', 'device_id']).doUpdateSet({ state, reason, since }))
        .execute()
  })
}

export const readEvents = (db: Kysely<Database>, limit: number) =>
  db.selectFrom('software_events').selectAll().orderBy('id', 'desc').limit(limit).execute()
