// What a running console answers about money that goes elsewhere or is too much, and whom it tells.
import { sign } from 'node:crypto'
import { Keypair } from '@solana/web3.js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { WalletChangeView } from '../../console/routes/shapes.ts'
import { encodeBase58 } from '../../console/settlement/base58.ts'
import { privateKeyOf } from '../../console/settlement/keys.ts'
import { startTestConsole, type TestConsole } from './running-console.ts'

let here: TestConsole
beforeAll(async () => {
  here = await startTestConsole({ minimumPayoutUnits: '100' })
})
afterAll(() => here.close())

const post = async (path: string, body: object, method = 'POST') => {
  const init = { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const answer = await here.call(path, init)
  return {
    status: answer.status,
    body: (await answer.json()) as { error?: { message: string } } & Record<string, unknown>,
  }
}
async function register(payee: string, key: Keypair) {
  const asked = await post('/api/wallets/challenge', { payee, address: key.publicKey.toBase58() })
  const secret = privateKeyOf(key.secretKey.subarray(0, 32))
  const signature = encodeBase58(sign(null, Buffer.from(String(asked.body['text'])), secret))
  return post('/api/wallets', { payee, signature })
}
const overview = async () => (await (await here.call('/api/overview')).json()) as { health: { sentence: string } }

/** The first event of this name. */
async function heard(name: string): Promise<unknown> {
  const stop = new AbortController()
  const stream = await here.call('/api/events', { signal: stop.signal })
  let text = ''
  for await (const part of (stream.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += part
    const [, data] = new RegExp(`event: ${name}\ndata: (.*)\n`).exec(text) ?? []
    if (data === undefined) continue
    stop.abort()
    return JSON.parse(data)
  }
  throw new Error('the stream ended')
}

it('refuses amounts that no ledger holds, with a sentence', async () => {
  for (const units of ['9223372036854775808', '9999999999999999999', '-1', '1.5', '0', 'all']) {
    const { status, body } = await post('/api/requesters/demo/withdraw', { units, requestId: 'r' })
    expect([units, status]).toEqual([units, 400])
    expect(body.error?.message).toMatch(/^units: must be .*9223372036854775807/)
  }
  const account = Keypair.generate().publicKey.toBase58()
  const terms = { account, below: '1', draw: '9223372036854775808' }
  expect((await post('/api/requesters/demo/allowance', terms, 'PUT')).status).toBe(400)
})

it('refuses a withdrawal below the minimum, and one of more than there is', async () => {
  await register('requester/demo', Keypair.generate())
  const small = await post('/api/requesters/demo/withdraw', { units: '99', requestId: 'small' })
  expect([small.status, small.body.error?.message]).toEqual([409, '99 base units are less than the minimum of 100.'])
  const large = await post('/api/requesters/demo/withdraw', { units: '9223372036854775807', requestId: 'large' })
  expect([large.status, large.body.error?.message]).toEqual([409, expect.stringMatching(/^budget:demo holds/)])
  expect((await post('/api/requesters/demo/withdraw', { units: '100', requestId: 'good' })).status).toBe(200)
})

it('tells everybody who looks that a wallet is about to change', async () => {
  await post('/api/owners', { id: 'ann' })
  const [first, second] = [Keypair.generate(), Keypair.generate()]
  expect((await register('ann', first)).body).toMatchObject({ state: 'registered' })
  expect((await overview()).health.sentence).not.toContain('ann')
  const event = heard('wallets')
  expect((await register('ann', second)).body).toMatchObject({ state: 'waiting' })
  const address = second.publicKey.toBase58()
  expect(await event).toEqual({ waiting: [expect.objectContaining({ payee: 'ann', address })] })
  expect((await overview()).health.sentence).toMatch(new RegExp(`UTC on, ann is paid at ${address}, and its present`))
  const [change] = (await (await here.call('/api/wallets/changes')).json()) as WalletChangeView[]
  await here.call(`/api/wallets/changes/${change?.id}`, { method: 'DELETE' })
  expect((await overview()).health.sentence).not.toContain('ann')
})

it('pays the operator at the wallet that signs for its fees, and accounts for them', async () => {
  expect((await register('operator/fees', Keypair.generate())).body).toMatchObject({ state: 'registered' })
  const statement = await here.call(`/api/rewards/statements/${encodeURIComponent('operator/fees')}`)
  expect(await statement.json()).toMatchObject({ payee: 'operator/fees', opening: '0', closing: '0' })
  expect((await here.call(`/api/rewards/statements/${encodeURIComponent('operator/x')}`)).status).toBe(404)
})
