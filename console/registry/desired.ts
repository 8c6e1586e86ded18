// What boards should serve: an opinion per model for the whole fleet, and per board where one differs. No opinion leaves a
// board to its own folder. Every change is kept, so that the way back is known, and counts the revision up.
import type { Kysely } from 'kysely'
import type { Desired } from '../../broker/protocol/packages.ts'
import type { Database } from '../store/schema.ts'
import type { Publishers } from './publishers.ts'
import { RegistryError } from './registry-error.ts'
import type { Kept, Shelf } from './shelf.ts'
import { keyOf, loadWishes, type Memory, type Opinion, scopeOf, writeWish } from './wish-rows.ts'

/** No device id looks like this. */
export const FLEET = 'fleet'
/** As many as boards take in one answer. */
const MOST = 256

export interface Change {
  readonly scope: string
  readonly model: string
  readonly before?: Kept
  readonly after?: Kept
}

export interface Wishes {
  /** By model id: of the fleet, or of one board alone. */
  of(scope: string): ReadonlyMap<string, Opinion>
  /** What this board should serve by name: its own opinions, then the fleet's. */
  wantedBy(device: string): ReadonlyMap<string, Opinion>
  /** What a rollback would go back to; undefined when nothing was changed yet. */
  before(scope: string, model: string): { readonly kept?: Kept } | undefined
  /** `digest` undefined: no opinion any more. Rejects with RegistryError. */
  set(scope: string, model: string, digest: string | undefined): Promise<Change>
  /** To what was before the last change; twice is back again. Rejects with RegistryError. */
  rollBack(scope: string, model: string): Promise<Change>
  /** Takes back every opinion for releases of this publisher. */
  dropPublisher(publisher: string): Promise<readonly Change[]>
  /** What the board is told, but for the time. */
  answer(device: string): Omit<Desired, 'now'>
}

export interface WishOptions {
  readonly db: Kysely<Database>
  readonly shelf: Pick<Shelf, 'get'>
  readonly publishers: Pick<Publishers, 'list' | 'keyOf'>
  readonly now: () => number
  readonly changed: (change: Change) => void
}

const wantedBy = ({ opinions }: Memory, device: string): ReadonlyMap<string, Opinion> =>
  new Map([...(opinions.get(FLEET) ?? []), ...(opinions.get(device) ?? [])])

function answerOf(memory: Memory, publishers: Pick<Publishers, 'list'>, device: string): Omit<Desired, 'now'> {
  const models = [...wantedBy(memory, device).values()]
    .map(({ kept: { digest, release } }) => ({ id: release.id, version: release.version, release: digest }))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  // Publishers are only added and revoked, so what they add to the revision only grows.
  const keys = publishers.list().reduce((count, { revokedAt }) => count + (revokedAt === undefined ? 1 : 2), 0)
  const trusted = publishers.list().filter(({ revokedAt }) => revokedAt === undefined)
  return {
    revision: Math.max(memory.revisions.get(FLEET) ?? 0, memory.revisions.get(device) ?? 0) + keys,
    publishers: trusted.map(({ id, key }) => ({ id, key })),
    ...(models.length > 0 && { models }),
  }
}

export async function openWishes({ db, shelf, publishers, now, changed }: WishOptions): Promise<Wishes> {
  const memory = await loadWishes(db, shelf)
  let last: Promise<unknown> = Promise.resolve()

  function check(scope: string, model: string, digest: string): Kept {
    const kept = shelf.get(digest)
    if (kept?.release.id !== model)
      throw new RegistryError('unknown-release', `There is no release ${digest.slice(0, 12)}… of ${model} here.`)
    if (publishers.keyOf(kept.release.publisher) === undefined)
      throw new RegistryError('unknown-publisher', `Its publisher ${kept.release.publisher} was revoked.`)
    const opinions = scopeOf(memory, scope)
    if (!opinions.has(model) && opinions.size >= MOST / 2)
      throw new RegistryError('too-many', `There are ${MOST / 2} opinions here, the most that fit into an answer.`)
    return kept
  }

  async function move(scope: string, model: string, digest: string | undefined): Promise<Change> {
    const opinions = scopeOf(memory, scope)
    const before = opinions.get(model)?.kept
    const after = digest === undefined ? undefined : check(scope, model, digest)
    const change: Change = { scope, model, ...(before && { before }), ...(after && { after }) }
    if (before === after) return change
    const at = now()
    const row = { scope, model, before: before?.digest ?? null, after: after?.digest ?? null, at }
    const id = await writeWish(db, row)
    if (after) opinions.set(model, { kept: after, since: at })
    else opinions.delete(model)
    memory.before.set(keyOf(scope, model), row.before)
    memory.revisions.set(scope, id)
    changed(change)
    return change
  }

  /** One after the other: each is read from memory and written to both. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }

  return {
    of: (scope) => memory.opinions.get(scope) ?? new Map(),
    wantedBy: (device) => wantedBy(memory, device),

    before(scope, model) {
      const digest = memory.before.get(keyOf(scope, model))
      if (digest === undefined) return undefined
      const kept = digest === null ? undefined : shelf.get(digest)
      return { ...(kept && { kept }) }
    },

    set: (scope, model, digest) => inTurn(() => move(scope, model, digest)),

    rollBack: (scope, model) =>
      inTurn(async () => {
        const digest = memory.before.get(keyOf(scope, model))
        if (digest === undefined)
          throw new RegistryError(
            'nothing-before',
            `No version of ${model} was ever set here, so there is no way back.`,
          )
        return move(scope, model, digest ?? undefined)
      }),

    dropPublisher: (publisher) =>
      inTurn(async () => {
        const changes: Change[] = []
        for (const [scope, opinions] of memory.opinions)
          for (const [model, { kept }] of [...opinions])
            if (kept.release.publisher === publisher) changes.push(await move(scope, model, undefined))
        return changes
      }),

    answer: (device) => answerOf(memory, publishers, device),
  }
}
