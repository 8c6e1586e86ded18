// Who is paid where: a wallet is registered by its own signature, and changed only by the old wallet's signature or after
// three days, in which whoever is robbed of an account can still say no.
import type { Kysely, Selectable } from 'kysely'
import { OPERATOR_FEES, type Payee } from '../rewards/payees.ts'
import type { Database } from '../store/schema.ts'
import { isSignedBy, type SignIn, textOf } from './sign-in.ts'
import { isNamed, nameWallet, walletOf } from './wallets.ts'

export const CHANGE_WAITS_MS = 72 * 3_600_000
const CHALLENGE_MS = 10 * 60_000
/** Unanswered texts kept; the oldest go. */
const MAX_CHALLENGES = 1_000
const NONCE_BYTES = 16

export class WalletError extends Error {
  override readonly name = 'WalletError'
  readonly code:
    | 'unknown-payee'
    | 'bad-address'
    | 'paid-elsewhere'
    | 'no-challenge'
    | 'bad-signature'
    | 'unknown-change'

  constructor(code: WalletError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export type WalletChange = Pick<
  Selectable<Database['wallet_changes']>,
  'id' | 'payee' | 'address' | 'asked_at' | 'effective_at'
>

export type Registered =
  | { readonly state: 'registered'; readonly address: string }
  /** Another wallet is paid until then. */
  | { readonly state: 'waiting'; readonly change: WalletChange }

export interface Registration {
  /** The text to sign, naming the console at `uri`. Rejects with WalletError `unknown-payee` or `bad-address`. */
  challenge(payee: Payee, address: string, uri: string): Promise<string>
  /** Each text serves once. Rejects with WalletError `no-challenge` or `bad-signature`. */
  register(payee: Payee, signatures: { readonly by: string; readonly byOld?: string }): Promise<Registered>
  /**
   * By the operator's own word, without a signature: only for a payee to whom nothing was paid yet. A wallet that was registered
   * by its signature stays. Rejects with WalletError `bad-address` or `paid-elsewhere`.
   */
  name(payee: Payee, address: string): Promise<void>
  waiting(): Promise<WalletChange[]>
  /** Rejects with WalletError `unknown-change`. */
  cancel(id: number): Promise<void>
  /** Makes the changes whose time has come; answers whose wallet changed. */
  applyDue(): Promise<Payee[]>
}

export interface RegistrationOptions {
  readonly db: Kysely<Database>
  readonly now: () => number
  readonly randomBytes: (size: number) => Uint8Array
  readonly chainId: string
  /** Why nobody may be paid there, looked up on the chain as well; undefined for a good wallet. */
  readonly faultOf: (address: string) => Promise<string | undefined>
}

interface Challenge {
  readonly address: string
  readonly text: string
  readonly expiresAt: number
}

const isKnown = async (db: Kysely<Database>, payee: Payee): Promise<boolean> => {
  if (payee === OPERATOR_FEES) return true
  const [kind = '', id] = payee.split('/')
  const table = id === undefined ? 'owners' : kind === 'requester' ? 'requesters' : 'publishers'
  const row = await db
    .selectFrom(table)
    .select('id')
    .where('id', '=', id ?? kind)
    .executeTakeFirst()
  return row !== undefined && (id === undefined || kind === 'requester' || kind === 'publisher')
}

/** A batch that is open may be paid as well. */
const wasPaid = async (db: Kysely<Database>, payee: Payee): Promise<boolean> =>
  (await db
    .selectFrom('payouts')
    .innerJoin('payout_batches', 'payout_batches.id', 'payouts.batch_id')
    .select('payouts.id')
    .where('payouts.payee', '=', payee)
    .where('payout_batches.state', '!=', 'failed')
    .limit(1)
    .executeTakeFirst()) !== undefined

async function putWallet(trx: Kysely<Database>, payee: Payee, address: string, proof: string, at: number) {
  await trx
    .insertInto('wallets')
    .values({ payee, address, since: at, proof })
    .onConflict((conflict) => conflict.column('payee').doUpdateSet({ address, since: at, proof }))
    .execute()
}

/** What is asked now is what counts: an earlier wish that still waits is gone. */
const cancelWaiting = (trx: Kysely<Database>, payee: Payee) =>
  trx
    .updateTable('wallet_changes')
    .set({ state: 'cancelled' })
    .where('payee', '=', payee)
    .where('state', '=', 'waiting')
    .execute()

const waitingChanges = (db: Kysely<Database>) =>
  db
    .selectFrom('wallet_changes')
    .select(['id', 'payee', 'address', 'asked_at', 'effective_at'])
    .where('state', '=', 'waiting')
    .orderBy('id')

export function createRegistration(options: RegistrationOptions): Registration {
  const { db, now, faultOf } = options
  const challenges = createChallenges(options)

  async function assertPayable(address: string): Promise<void> {
    const fault = await faultOf(address)
    if (fault !== undefined) throw new WalletError('bad-address', `${address} cannot be paid: ${fault}`)
  }

  async function store(payee: Payee, { address, text }: Challenge, by: string, byOld?: string): Promise<Registered> {
    const at = now()
    const proof = JSON.stringify({ text, signature: by, ...(byOld !== undefined && { oldSignature: byOld }) })
    return db.transaction().execute(async (trx) => {
      const old = await walletOf(trx, payee)
      await cancelWaiting(trx, payee)
      if (old === undefined || old === address || (byOld !== undefined && isSignedBy(old, text, byOld))) {
        await putWallet(trx, payee, address, proof, at)
        return { state: 'registered', address }
      }
      const change = { payee, address, proof, asked_at: at, effective_at: at + CHANGE_WAITS_MS }
      const { id } = await trx
        .insertInto('wallet_changes')
        .values({ ...change, state: 'waiting' })
        .returning('id')
        .executeTakeFirstOrThrow()
      return { state: 'waiting', change: { ...change, id } }
    })
  }

  return {
    async challenge(payee, address, uri) {
      if (!(await isKnown(db, payee))) throw new WalletError('unknown-payee', `there is no payee "${payee}"`)
      await assertPayable(address)
      return challenges.make(payee, address, uri)
    },
    async register(payee, { by, byOld }) {
      const challenge = challenges.of(payee)
      if (!challenge)
        throw new WalletError(
          'no-challenge',
          `there is no text for ${payee} to sign, or it is too old: ask for a new one`,
        )
      if (!isSignedBy(challenge.address, challenge.text, by))
        throw new WalletError('bad-signature', `this is not the signature of ${challenge.address} under the text`)
      challenges.use(payee)
      return store(payee, challenge, by, byOld)
    },
    async name(payee, address) {
      const known = await walletOf(db, payee)
      if (known === address) return
      await assertPayable(address)
      if (known !== undefined && (await isNamed(db, payee)) && (await wasPaid(db, payee)))
        throw new WalletError(
          'paid-elsewhere',
          `${payee} has been paid at ${known}, so a start option does not change it to ${address}: start without it ` +
            `(--wallet, BRAMBLE_WALLET), then run: bramble owners wallet ${payee} --address ${address}`,
        )
      await nameWallet(db, payee, address, now())
    },
    waiting: () => waitingChanges(db).execute(),
    async cancel(id) {
      const { numUpdatedRows } = await db
        .updateTable('wallet_changes')
        .set({ state: 'cancelled' })
        .where('id', '=', id)
        .where('state', '=', 'waiting')
        .executeTakeFirst()
      if (numUpdatedRows !== 1n) throw new WalletError('unknown-change', `no change ${id} is waiting`)
    },
    applyDue: () =>
      db.transaction().execute(async (trx) => {
        const due = await waitingChanges(trx).select('proof').where('effective_at', '<=', now()).execute()
        for (const { id, payee, address, proof } of due) {
          await putWallet(trx, payee, address, proof, now())
          await trx.updateTable('wallet_changes').set({ state: 'done' }).where('id', '=', id).execute()
        }
        return due.map(({ payee }) => payee)
      }),
  }
}

/** In memory: after a restart a person asks for a new text. One per payee, so that asking often stores nothing. */
function createChallenges({ now, randomBytes, chainId }: RegistrationOptions) {
  const open = new Map<Payee, Challenge>()
  const valid = (challenge: Challenge | undefined): boolean => challenge !== undefined && challenge.expiresAt > now()
  return {
    make(payee: Payee, address: string, uri: string): string {
      const at = now()
      const expiresAt = at + CHALLENGE_MS
      const signIn: SignIn = {
        domain: new URL(uri).host,
        address,
        statement: `Pay what ${payee} earns with Bramble to this wallet.`,
        uri,
        chainId,
        nonce: Buffer.from(randomBytes(NONCE_BYTES)).toString('hex'),
        issuedAt: new Date(at).toISOString(),
        expiresAt: new Date(expiresAt).toISOString(),
      }
      const text = textOf(signIn)
      open.delete(payee)
      open.set(payee, { address, text, expiresAt })
      for (const oldest of open.keys()) if (open.size > MAX_CHALLENGES) open.delete(oldest)
      return text
    },
    of(payee: Payee): Challenge | undefined {
      const challenge = open.get(payee)
      return valid(challenge) ? challenge : undefined
    },
    use: (payee: Payee): unknown => open.delete(payee),
  }
}
