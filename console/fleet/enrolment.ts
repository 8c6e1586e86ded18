// How boards get in: a token (kept as its hash) plus proof of the key gives an id and a credential; a signed challenge
// renews it. The device id follows from the key, so the same key is the same board however often it enrols.
import { createHash, verify } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { Issuer } from '../../broker/jwt.ts'
import { deviceGrants, deviceIdOf, publicKeyFromRaw } from '../../broker/protocol/credentials.ts'
import type { BoardCredential, BoardEnrolment } from '../routes/shapes.ts'
import type { Database } from '../store/schema.ts'
import { claimToken, EnrolmentFault, saveBoard } from './admission.ts'
import type { Challenges } from './challenges.ts'
import type { Board } from './devices.ts'

/** Long enough that a board off for a month still gets in; renewed by boards at two thirds of it. */
const CREDENTIAL_MS = 30 * 86_400_000

export interface EnrolmentOptions {
  readonly db: Kysely<Database>
  readonly now: () => number
  readonly randomBytes: (size: number) => Buffer
  readonly challenges: Challenges
  readonly issuer: Pick<Issuer, 'issue'>
  readonly mqtt: { readonly url: string; readonly root: string }
  readonly add: (board: Board) => void
  readonly boardOf: (id: string) => Board | undefined
}

/** `message` tells the board's owner why it was not let in, and what to do. */
export type Enrolled =
  | { readonly ok: true; readonly credential: BoardCredential }
  | { readonly ok: false; readonly refusal: { readonly code: string; readonly message: string } }

export interface TokenRequest {
  readonly owner: string
  readonly label: string
  readonly uses: number
  readonly expiresInS: number
}

export const hashOfToken = (token: string): string => createHash('sha256').update(token).digest('hex')

const signed = (publicKey: string, text: string, proof: string): boolean => {
  const raw = Buffer.from(publicKey, 'base64url')
  // Node refuses some malformed keys by throwing; for the caller that is a proof that does not hold.
  try {
    return (
      raw.byteLength === 32 && verify(null, Buffer.from(text), publicKeyFromRaw(raw), Buffer.from(proof, 'base64url'))
    )
  } catch {
    return false
  }
}

const refused = (code: string, message: string): Enrolled => ({ ok: false, refusal: { code, message } })

export function createEnrolment(options: EnrolmentOptions) {
  const { db, now, challenges, mqtt } = options

  async function credentialOf({ id, name }: { id: string; name: string }): Promise<BoardCredential> {
    const acl = deviceGrants(id, mqtt.root)
    const { jwt, expiresAt } = await options.issuer.issue({ sub: id, role: 'device', acl }, CREDENTIAL_MS)
    return { device: id, name, credential: jwt, expiresAt: new Date(expiresAt).toISOString(), mqtt: { ...mqtt } }
  }

  return {
    /** A new token, shown this once: 256 random bits, so the plain hash at rest gives nothing away. */
    async mint(request: TokenRequest): Promise<{ id: string; token: string; expiresAt: string }> {
      // base64url may begin with "-", and the command line would read such a token as an option.
      const token = `bre_${options.randomBytes(32).toString('base64url')}`
      const id = options.randomBytes(9).toString('base64url')
      const expiresAt = now() + request.expiresInS * 1000
      await db
        .insertInto('enrollment_tokens')
        .values({
          id,
          token_hash: hashOfToken(token),
          owner_id: request.owner,
          label: request.label,
          uses_left: request.uses,
          expires_at: expiresAt,
          created_at: now(),
        })
        .execute()
      return { id, token, expiresAt: new Date(expiresAt).toISOString() }
    },

    async enrol({ token, publicKey, proof, name }: BoardEnrolment): Promise<Enrolled> {
      // The proof comes first: it costs no write, and a wrong one must not use up a token.
      if (!signed(publicKey, `bramble-enroll:${token}`, proof))
        return refused('bad-proof', 'The signature does not fit the public key: delete identity.key and enrol again.')
      try {
        const board = await db.transaction().execute(async (trx) => {
          const id = deviceIdOf(Buffer.from(publicKey, 'base64url'))
          const owner = await claimToken(trx, hashOfToken(token), now(), id)
          return saveBoard(trx, { id, publicKey, owner, now: now(), wished: name })
        })
        if (options.boardOf(board.id) === undefined) options.add(board)
        return { ok: true, credential: await credentialOf(board) }
      } catch (error) {
        if (error instanceof EnrolmentFault) return refused(error.code, error.message)
        throw error
      }
    },

    async renew({ device, challenge, proof }: { device: string; challenge: string; proof: string }): Promise<Enrolled> {
      const board = options.boardOf(device)
      const known = board !== undefined && signed(board.publicKey, `bramble-renew:${device}:${challenge}`, proof)
      if (!known) return refused('bad-proof', 'This signature is not of an enrolled board: enrol it with a new token.')
      if (!challenges.redeem(challenge))
        return refused('bad-challenge', 'The challenge is used or older than two minutes: ask for another.')
      return { ok: true, credential: await credentialOf(board) }
    },
  }
}
