// What a newcomer finds: an owner with a wallet, and a requester with a budget. Safe to run at every start.
import { join } from 'node:path'
import type { Kysely } from 'kysely'
import type { Requesters } from '../market/requesters.ts'
import { accounts } from '../rewards/accounts.ts'
import { post } from '../rewards/ledger.ts'
import { readSecret, writeSecret } from '../secrets.ts'
import { readOrCreateKeyFile } from '../settlement/keys.ts'
import type { Store } from '../store/open.ts'
import type { Database } from '../store/schema.ts'
import type { Registration } from '../wallets/registration.ts'
import { walletOf } from '../wallets/wallets.ts'

export const DEMO = 'demo'
/** 1,000 tokens of 6 decimals. */
export const DEMO_BUDGET = 1_000_000_000n

export interface SeedOptions {
  readonly store: Store
  readonly requesters: Requesters
  readonly registration: Pick<Registration, 'name'>
  readonly keysFolder: string
  readonly now: () => number
  /** The owner's payout wallet; when absent the one it has, or one that is made here. */
  readonly wallet?: string
}

export interface Seeded {
  readonly wallet: string
  readonly apiKey: string
  /** File with the API key. */
  readonly keyFile: string
}

async function seedOwner({ store, keysFolder, registration, now, wallet }: SeedOptions): Promise<string> {
  const named = wallet ?? (await walletOf(store.db, DEMO))
  const address = named ?? (await readOrCreateKeyFile(join(keysFolder, 'demo-wallet.json'))).address
  await store.db
    .insertInto('owners')
    .values({ id: DEMO, name: 'Demo owner', created_at: now() })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
  await registration.name(DEMO, address)
  return address
}

/** The key is kept in a file; where that is lost, or was never written, there is a new one. */
async function seedRequester({ requesters }: SeedOptions, keyFile: string): Promise<string> {
  const known = await readSecret(keyFile)
  if (known !== undefined && (await requesters.authenticate(known))?.id === DEMO) return known
  const exists = (await requesters.get(DEMO)) !== undefined
  const key = exists
    ? await requesters.renewKey(DEMO)
    : (await requesters.create({ id: DEMO, name: 'Demo pipeline', ownerId: DEMO })).key
  await writeSecret(keyFile, key, 'w')
  return key
}

async function grantOnce(trx: Kysely<Database>, at: number): Promise<void> {
  const shared = { ref: 'demo:first', from: accounts.outside, to: accounts.budget(DEMO) } as const
  // Before there were grants it was posted as a deposit.
  const posted = await trx.selectFrom('transfers').select('id').where('ref', '=', shared.ref).executeTakeFirst()
  if (!posted) await post(trx, [{ ...shared, kind: 'grant', amount: DEMO_BUDGET, at }])
}

export async function seed(options: SeedOptions): Promise<Seeded> {
  const { store, keysFolder, now } = options
  const keyFile = join(keysFolder, 'demo-requester.key')
  const wallet = await seedOwner(options)
  const apiKey = await seedRequester(options, keyFile)
  // Posted once, ever: the same kind, reference and account again changes nothing. Its tokens are the treasury's first.
  await store.db.transaction().execute((trx) => grantOnce(trx, now()))
  return { wallet, apiKey, keyFile }
}
