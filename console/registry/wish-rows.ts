// The rows behind the wishes: what is desired now, and the line that tells of each change.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import type { Kept, Shelf } from './shelf.ts'

export interface Opinion {
  readonly kept: Kept
  readonly since: number
}

export const keyOf = (scope: string, model: string): string => `${scope} ${model}`

export interface Memory {
  readonly opinions: Map<string, Map<string, Opinion>>
  /** Of the last change: where it came from. */
  readonly before: Map<string, string | null>
  /** The last change of each scope. */
  readonly revisions: Map<string, number>
}

export async function loadWishes(db: Kysely<Database>, shelf: Pick<Shelf, 'get'>): Promise<Memory> {
  const memory: Memory = { opinions: new Map(), before: new Map(), revisions: new Map() }
  for (const row of await db.selectFrom('desired_models').selectAll().execute()) {
    const kept = shelf.get(row.release_digest)
    if (kept) scopeOf(memory, row.scope).set(row.model, { kept, since: row.since })
  }
  const latest = db
    .selectFrom('desired_changes')
    .select((eb) => eb.fn.max('id').as('id'))
    .groupBy(['scope', 'model'])
  for (const row of await db.selectFrom('desired_changes').selectAll().where('id', 'in', latest).execute()) {
    memory.before.set(keyOf(row.scope, row.model), row.before_digest)
    memory.revisions.set(row.scope, Math.max(row.id, memory.revisions.get(row.scope) ?? 0))
  }
  return memory
}

export function scopeOf({ opinions }: Memory, scope: string): Map<string, Opinion> {
  const known = opinions.get(scope)
  if (known) return known
  const made = new Map<string, Opinion>()
  opinions.set(scope, made)
  return made
}

/** One transaction: the opinion, and the line that tells of it. Answers the line's number. */
export async function writeWish(
  db: Kysely<Database>,
  change: { scope: string; model: string; before: string | null; after: string | null; at: number },
): Promise<number> {
  const { scope, model, before, after, at } = change
  return db.transaction().execute(async (trx) => {
    if (after === null)
      await trx.deleteFrom('desired_models').where('scope', '=', scope).where('model', '=', model).execute()
    else
      await trx
        .insertInto('desired_models')
        .values({ scope, model, release_digest: after, since: at })
        .onConflict((conflict) =>
          conflict.columns(['scope', 'model']).doUpdateSet({ release_digest: after, since: at }),
        )
        .execute()
    const { id } = await trx
      .insertInto('desired_changes')
      .values({ scope, model, before_digest: before, after_digest: after, at })
      .returning('id')
      .executeTakeFirstOrThrow()
    return id
  })
}
