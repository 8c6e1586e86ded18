// Who may ask the pool for work: requesters, known by an API key of which only the hash is kept.
import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { type Principal, requesterGrants } from '../../broker/protocol/credentials.ts'
import { isTopicLevel } from '../../broker/protocol/topics.ts'
import type { Database } from '../store/schema.ts'

export interface Requester {
  readonly id: string
  readonly name: string
  /** Set for an owner's own pipeline. */
  readonly ownerId: string | undefined
}

export class RequesterError extends Error {
  override readonly name = 'RequesterError'
  readonly code: 'bad-id' | 'taken' | 'unknown'

  constructor(code: RequesterError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export interface Requesters {
  /** The key is shown this once. Rejects with RequesterError `bad-id` or `taken`. */
  create(requester: { id: string; name: string; ownerId?: string }): Promise<{ requester: Requester; key: string }>
  /** A new key; the old one ends. Rejects with RequesterError `unknown`. */
  renewKey(id: string): Promise<string>
  authenticate(key: string): Promise<Requester | undefined>
  get(id: string): Promise<Requester | undefined>
  list(): Promise<Requester[]>
  /** What it may say on the bus, its owner's boards included. */
  principal(requester: Requester, root?: string): Promise<Principal>
}

const KEY_BYTES = 32
const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex')

const view = (row: { id: string; name: string; owner_id: string | null }): Requester => ({
  id: row.id,
  name: row.name,
  ownerId: row.owner_id ?? undefined,
})

export function createRequesters(options: {
  readonly db: Kysely<Database>
  readonly now: () => number
  readonly randomBytes: (length: number) => Uint8Array
}): Requesters {
  const { db, now, randomBytes } = options
  const newKey = (): string => `brk_${Buffer.from(randomBytes(KEY_BYTES)).toString('base64url')}`

  return {
    async create({ id, name, ownerId }) {
      if (!isTopicLevel(id)) throw new RequesterError('bad-id', `"${id}" must match [A-Za-z0-9_-]{1,64}`)
      const key = newKey()
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('requesters')
        .values({ id, name, key_hash: hashOf(key), owner_id: ownerId ?? null, created_at: now() })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .executeTakeFirstOrThrow()
      if (numInsertedOrUpdatedRows !== 1n) throw new RequesterError('taken', `there is a requester "${id}" already`)
      return { requester: { id, name, ownerId }, key }
    },
    async renewKey(id) {
      const key = newKey()
      const { numUpdatedRows } = await db
        .updateTable('requesters')
        .set({ key_hash: hashOf(key) })
        .where('id', '=', id)
        .executeTakeFirst()
      if (numUpdatedRows !== 1n) throw new RequesterError('unknown', `there is no requester "${id}"`)
      return key
    },
    // Looked up by the hash of a 256-bit key: how long the look-up takes says nothing about the key.
    async authenticate(key) {
      const row = await db.selectFrom('requesters').selectAll().where('key_hash', '=', hashOf(key)).executeTakeFirst()
      return row && view(row)
    },
    async get(id) {
      const row = await db.selectFrom('requesters').selectAll().where('id', '=', id).executeTakeFirst()
      return row && view(row)
    },
    async list() {
      return (await db.selectFrom('requesters').selectAll().orderBy('created_at').orderBy('id').execute()).map(view)
    },
    async principal({ id, ownerId }, root) {
      const boards = await db
        .selectFrom('devices')
        .select('id')
        .where('owner_id', '=', ownerId ?? '')
        .where('removed_at', 'is', null)
        .execute()
      const grants = requesterGrants(
        id,
        boards.map((board) => board.id),
        root,
      )
      return { role: 'requester', id, grants }
    },
  }
}
