// Wallets: registered by their own signature, changed by the old one's or after three days.
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeBase58 } from '../../console/settlement/base58.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'
import { CHANGE_WAITS_MS, createRegistration } from '../../console/wallets/registration.ts'
import { isSignedBy } from '../../console/wallets/sign-in.ts'
import { walletOf } from '../../console/wallets/wallets.ts'

interface Key {
  readonly address: string
  sign(text: string): string
}
function makeKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' }).subarray(-32)
  return {
    address: encodeBase58(raw(publicKey)),
    sign: (text) => encodeBase58(sign(null, Buffer.from(text), privateKey)),
  }
}

const URI = 'https://fleet.example:8443'
let now = Date.UTC(2026, 10, 23)
let store: Store
const open = () =>
  createRegistration({
    db: store.db,
    now: () => now,
    randomBytes,
    chainId: 'devnet',
    faultOf: async (address) => (address === 'mint' ? 'it is a mint' : undefined),
  })
const paidAt = () => walletOf(store.db, 'ann')

beforeEach(async () => {
  store = await openDatabase(':memory:')
  await store.db.insertInto('owners').values({ id: 'ann', name: 'Ann', created_at: now }).execute()
  await store.db
    .insertInto('requesters')
    .values({ id: 'gate', name: 'Gate', key_hash: 'h', owner_id: null, created_at: now })
    .execute()
})
afterEach(() => store.close())

describe('a wallet', () => {
  it('is registered by its signature under a text that names everything', async () => {
    const [registration, wallet] = [open(), makeKey()]
    const text = await registration.challenge('ann', wallet.address, URI)
    expect(text).toBe(`fleet.example:8443 wants you to sign in with your Solana account:
${wallet.address}

Pay what ann earns with Bramble to this wallet.

URI: https://fleet.example:8443
Version: 1
Chain ID: devnet
Nonce: ${/Nonce: ([0-9a-f]{32})/.exec(text)?.[1]}
Issued At: 2026-11-23T00:00:00.000Z
Expiration Time: 2026-11-23T00:10:00.000Z`)
    expect(await registration.register('ann', { by: wallet.sign(text) })).toEqual({
      state: 'registered',
      address: wallet.address,
    })
    expect(await paidAt()).toBe(wallet.address)
  })

  it("is not registered by another key's signature, under another text, twice, or too late", async () => {
    const [registration, wallet, thief] = [open(), makeKey(), makeKey()]
    const text = await registration.challenge('ann', wallet.address, URI)
    for (const by of [thief.sign(text), wallet.sign(`${text} `), '1'.repeat(88), 'not base58 at all: 0OIl'])
      await expect(registration.register('ann', { by })).rejects.toMatchObject({ code: 'bad-signature' })
    const good = wallet.sign(text)
    await registration.register('ann', { by: good })
    await expect(registration.register('ann', { by: good })).rejects.toMatchObject({ code: 'no-challenge' })
    const late = await registration.challenge('ann', wallet.address, URI)
    now += 10 * 60_000
    await expect(registration.register('ann', { by: wallet.sign(late) })).rejects.toMatchObject({
      code: 'no-challenge',
    })
  })

  it('is changed at once by the old wallet, and otherwise after three days', async () => {
    const [registration, old, next, third] = [open(), makeKey(), makeKey(), makeKey()]
    const register = async (key: Key, byOld?: Key) => {
      const text = await registration.challenge('ann', key.address, URI)
      return registration.register('ann', { by: key.sign(text), ...(byOld && { byOld: byOld.sign(text) }) })
    }
    await register(old)
    expect(await register(next, old)).toMatchObject({ state: 'registered' })
    expect(await register(third, old), 'a former wallet has no say').toMatchObject({
      state: 'waiting',
      change: { payee: 'ann', address: third.address, effective_at: now + CHANGE_WAITS_MS },
    })
    expect(await paidAt()).toBe(next.address)
    now += CHANGE_WAITS_MS - 1
    expect(await registration.applyDue()).toEqual([])
    now += 1
    expect(await registration.applyDue()).toEqual(['ann'])
    expect(await paidAt()).toBe(third.address)
    expect(await registration.waiting()).toEqual([])
  })

  it('keeps being paid when the change is cancelled, or wished otherwise meanwhile', async () => {
    const [registration, old, thief, other] = [open(), makeKey(), makeKey(), makeKey()]
    const register = async (key: Key) => {
      const text = await registration.challenge('ann', key.address, URI)
      return registration.register('ann', { by: key.sign(text) })
    }
    await register(old)
    await register(thief)
    const [change] = await registration.waiting()
    await registration.cancel(change?.id ?? 0)
    await expect(registration.cancel(change?.id ?? 0)).rejects.toMatchObject({ code: 'unknown-change' })
    await register(thief)
    await register(other)
    expect(await registration.waiting()).toMatchObject([{ address: other.address }])
    now += CHANGE_WAITS_MS
    await registration.applyDue()
    expect(await paidAt()).toBe(other.address)
  })

  it('is refused for whom nobody knows, and where nobody can be paid', async () => {
    const [registration, wallet] = [open(), makeKey()]
    expect(await registration.challenge('requester/gate', wallet.address, URI)).toContain('requester/gate')
    for (const payee of ['bob', 'requester/bob', 'publisher/x', 'else/gate', ''])
      await expect(registration.challenge(payee, wallet.address, URI), payee).rejects.toMatchObject({
        code: 'unknown-payee',
      })
    await expect(registration.challenge('ann', 'mint', URI)).rejects.toThrow('mint cannot be paid: it is a mint')
  })

  it('is named by a start option until the first payout, then only by the way of all changes', async () => {
    const [registration, first, second, third] = [open(), makeKey(), makeKey(), makeKey()]
    await expect(registration.name('ann', 'mint')).rejects.toThrow('mint cannot be paid: it is a mint')
    expect(await paidAt()).toBeUndefined()
    await registration.name('ann', first.address)
    await registration.name('ann', second.address)
    expect(await paidAt(), 'nothing was paid').toBe(second.address)
    const { db } = store
    const batch = { id: 'b', epoch_id: 1, memo: 'b', marker_lamports: 0, created_at: 1, updated_at: 1 }
    await db.insertInto('epochs').values({ id: 1, opened_at: 1 }).execute()
    await db
      .insertInto('payout_batches')
      .values({ ...batch, state: 'failed' })
      .execute()
    const line = { id: 'b/1', batch_id: 'b', payee: 'ann', wallet: second.address, rent_lamports: 0 }
    await db
      .insertInto('payouts')
      .values({ ...line, amount_units: 1n })
      .execute()
    await registration.name('ann', first.address)
    await db.updateTable('payout_batches').set({ state: 'finalized' }).execute()
    await registration.name('ann', first.address)
    await expect(registration.name('ann', third.address)).rejects.toMatchObject({
      code: 'paid-elsewhere',
      message: expect.stringMatching(
        `ann has been paid at ${first.address}, .* run: bramble owners wallet ann --address ${third.address}$`,
      ),
    })
    const text = await registration.challenge('ann', third.address, URI)
    await registration.register('ann', { by: third.sign(text), byOld: first.sign(text) })
    await registration.name('ann', first.address)
    expect(await paidAt(), 'what was signed for stays').toBe(third.address)
  })

  it('is asked in the text of the one that asked last', async () => {
    const [registration, first, second] = [open(), makeKey(), makeKey()]
    const text = await registration.challenge('ann', first.address, URI)
    await registration.challenge('ann', second.address, URI)
    await expect(registration.register('ann', { by: first.sign(text) })).rejects.toMatchObject({
      code: 'bad-signature',
    })
  })
})

it('a signature in any other shape is none', () => {
  const key = makeKey()
  expect(isSignedBy(key.address, 'x', key.sign('x'))).toBe(true)
  expect(isSignedBy(key.address, 'x', '')).toBe(false)
  expect(isSignedBy('', 'x', key.sign('x'))).toBe(false)
  expect(isSignedBy(key.sign('x'), 'x', key.address)).toBe(false)
})
