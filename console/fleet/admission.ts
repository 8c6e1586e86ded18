// What an enrolment writes, inside its one transaction: a use of the token, and the board under a name of its own.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import { fromRow } from './device-row.ts'
import type { Board } from './devices.ts'
import { nameOf } from './names.ts'

export class EnrolmentFault extends Error {
  override readonly name = 'EnrolmentFault'
  readonly code: 'unknown-token' | 'expired-token' | 'used-token' | 'foreign-board'

  constructor(code: EnrolmentFault['code'], message: string) {
    super(message)
    this.code = code
  }
}

/**
 * Takes one use of the token by a guarded UPDATE and returns its owner; throws EnrolmentFault when none is left. A board that is
 * its owner's already may have lost the answer to a power cut: it is answered again, takes no use, and gets no more than a renewal
 * gives.
 */
export async function claimToken(trx: Kysely<Database>, hash: string, now: number, board: string): Promise<string> {
  const token = await trx
    .selectFrom('enrollment_tokens')
    .select(['uses_left', 'expires_at', 'owner_id'])
    .where('token_hash', '=', hash)
    .executeTakeFirst()
  if (!token)
    throw new EnrolmentFault(
      'unknown-token',
      'This token is not known here: make one on the page Add board, and copy all of it.',
    )
  if (await isOf(trx, board, token.owner_id)) return token.owner_id
  const { numUpdatedRows } = await trx
    .updateTable('enrollment_tokens')
    .set((eb) => ({ uses_left: eb('uses_left', '-', 1) }))
    .where('token_hash', '=', hash)
    .where('uses_left', '>', 0)
    .where('expires_at', '>', now)
    .executeTakeFirst()
  if (numUpdatedRows === 1n) return token.owner_id
  if (token.expires_at > now) throw new EnrolmentFault('used-token', 'This token is used up: make another.')
  throw new EnrolmentFault(
    'expired-token',
    `This token expired at ${new Date(token.expires_at).toISOString()}: make another.`,
  )
}

async function isOf(trx: Kysely<Database>, board: string, owner: string): Promise<boolean> {
  const known = await trx
    .selectFrom('devices')
    .select('id')
    .where('id', '=', board)
    .where('owner_id', '=', owner)
    .where('removed_at', 'is', null)
    .executeTakeFirst()
  return known !== undefined
}

/** 262,144 names and a hash: with ten thousand boards the third try is as good as certain. */
const NAME_TRIES = 20

/** What the owner wished, with a number where it is taken; else three words. */
async function freeName(trx: Kysely<Database>, id: string, wished: string | undefined): Promise<string> {
  for (let attempt = 0; attempt < NAME_TRIES; attempt++) {
    const name = wished === undefined ? nameOf(id, attempt) : attempt === 0 ? wished : `${wished}-${attempt + 1}`
    const taken = await trx.selectFrom('devices').select('id').where('name', '=', name).executeTakeFirst()
    if (taken === undefined || taken.id === id) return name
  }
  return `${wished ?? nameOf(id)}-${id.slice(-4)}`
}

/** Inserts the board, or finds it again: the same key keeps its name and its earnings, and only its own owner may re-enrol it. */
export async function saveBoard(
  trx: Kysely<Database>,
  board: { id: string; publicKey: string; owner: string; now: number; wished: string | undefined },
): Promise<Board> {
  const known = await trx.selectFrom('devices').selectAll().where('id', '=', board.id).executeTakeFirst()
  if (known && known.owner_id !== board.owner)
    throw new EnrolmentFault(
      'foreign-board',
      'This board belongs to another owner: only a token of that owner lets it in.',
    )
  if (known) {
    await trx.updateTable('devices').set({ removed_at: null }).where('id', '=', board.id).execute()
    return fromRow(known)
  }
  const row = await trx
    .insertInto('devices')
    .values({
      id: board.id,
      name: await freeName(trx, board.id, board.wished),
      owner_id: board.owner,
      public_key: board.publicKey,
      enrolled_at: board.now,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  return fromRow(row)
}
