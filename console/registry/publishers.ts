// Whose signature counts: publishers by id, each with one Ed25519 key for good. A key that got out is revoked, and the
// publisher goes on under another id: releases already on boards must not change their meaning.
import type { Kysely } from 'kysely'
import { publisherKeyOf } from '../../broker/protocol/packages.ts'
import type { Database } from '../store/schema.ts'
import { RegistryError } from './registry-error.ts'

export interface Publisher {
  readonly id: string
  /** 32 raw bytes, base64url. */
  readonly key: string
  readonly addedAt: number
  readonly revokedAt?: number
}

/** As many as boards take in one answer. */
const MOST = 256

export interface Publishers {
  list(): readonly Publisher[]
  /** The key of a publisher that is trusted now. */
  keyOf(id: string): string | undefined
  /** Rejects with RegistryError when the id has another key or was revoked, or the key is none. */
  add(publisher: { id: string; key: string }): Promise<Publisher>
  /** Rejects with RegistryError when there is no such publisher. */
  revoke(id: string): Promise<void>
}

function checkKey(key: string): void {
  try {
    if (publisherKeyOf(key).asymmetricKeyType === 'ed25519') return
  } catch {
    // Told below, like a key of another kind.
  }
  throw new RegistryError(
    'malformed',
    'The key must be the 32 raw bytes of an Ed25519 public key as 43 base64url digits.',
  )
}

/** `software_publishers` are those of the agent itself: a model's publisher has no say in it. */
export async function openPublishers(
  db: Kysely<Database>,
  now: () => number,
  table: 'publishers' | 'software_publishers' = 'publishers',
): Promise<Publishers> {
  const known = new Map<string, Publisher>()
  for (const row of await db.selectFrom(table).selectAll().orderBy('id').execute())
    known.set(row.id, {
      id: row.id,
      key: row.public_key,
      addedAt: row.added_at,
      ...(row.revoked_at !== null && { revokedAt: row.revoked_at }),
    })

  return {
    list: () => [...known.values()],
    keyOf: (id) => {
      const publisher = known.get(id)
      return publisher?.revokedAt === undefined ? publisher?.key : undefined
    },

    async add({ id, key }) {
      checkKey(key)
      const twin = known.get(id)
      if (twin?.key === key && twin.revokedAt === undefined) return twin
      if (twin)
        throw new RegistryError(
          'publisher-taken',
          `The publisher ${id} ${twin.revokedAt === undefined ? 'has another key' : 'was revoked'}: choose another id.`,
        )
      if (known.size >= MOST) throw new RegistryError('too-many', `There are ${MOST} publishers, the most boards take.`)
      const added = { id, key, addedAt: now() }
      await db.insertInto(table).values({ id, public_key: key, added_at: added.addedAt }).execute()
      known.set(id, added)
      return added
    },

    async revoke(id) {
      const publisher = known.get(id)
      if (!publisher) throw new RegistryError('unknown-publisher-id', `There is no publisher ${id}.`)
      if (publisher.revokedAt !== undefined) return
      const revokedAt = now()
      await db.updateTable(table).set({ revoked_at: revokedAt }).where('id', '=', id).execute()
      known.set(id, { ...publisher, revokedAt })
    },
  }
}
