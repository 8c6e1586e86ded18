// Owners, requesters and their money as an operator types it, with a requester that pays in and out on the local chain.
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Keypair } from '@solana/web3.js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { RequesterDetail } from '../../console/routes/requesters.ts'
import type { LedgerCheck } from '../../console/routes/shapes.ts'
import { readKeyFile } from '../../console/settlement/keys.ts'
import { createSolana, type Solana } from '../../console/settlement/solana.ts'
import { PACKAGE_ROOT, startTestConsole, type TestConsole, until } from './running-console.ts'

let here: TestConsole
let wallet: Solana
let address: string
let keyFile: string

const bramble = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const main = join(PACKAGE_ROOT, 'console/bramble.js')
    const all = [main, ...args, '--url', here.url, '--token', here.keys.token]
    const child = execFile(process.execPath, all, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out: out.trim(), err: err.trim() }),
    )
  })

const sleep = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms))

async function makeKey(name: string) {
  const { secretKey } = Keypair.generate()
  const file = join(here.data, name)
  await writeFile(file, JSON.stringify([...secretKey]), { mode: 0o600 })
  return { file, key: await readKeyFile(file) }
}

/** A wallet with 50 tokens of this console, as its own program would use it. */
beforeAll(async () => {
  here = await startTestConsole()
  const made = await makeKey('wallet.json')
  ;[keyFile, address] = [made.file, made.key.address]
  const { rpcUrl, treasury } = here.money
  wallet = createSolana({ rpcUrl, treasury: made.key, sleep })
  await wallet.airdrop(address, 1_000_000_000)
  const treasuryKey = await readKeyFile(join(here.keysFolder, 'treasury.json'))
  const rich = createSolana({ rpcUrl, treasury: treasuryKey, sleep })
  await rich.mintTo(treasury.token, 50_000_000n)
  await pay(rich, address, 50_000_000n)
  await until(async () => (await wallet.tokenBalance(treasury.token.mint, address)) > 0n || undefined, 'the tokens')
})
afterAll(() => here.close())

async function pay(from: Solana, to: string, units: bigint): Promise<void> {
  const payer = from.payer(here.money.treasury.token)
  const payment = { id: 'a gift', memo: `a gift to ${to}`, marker: null, lines: [{ wallet: to, units }] }
  await payer.funds([to])
  await payer.send(payer.sign(payment, new Set([to]), await payer.lifetime()).wire)
}

it('registers owners and the wallets that they sign for', async () => {
  expect(await bramble('owners', 'add', 'ann', '--name', 'Ann')).toMatchObject({ code: 0 })
  expect(await bramble('owners', 'add', 'ann')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/is an owner ann/),
  })
  const { mint } = here.money.treasury.token
  expect(await bramble('owners', 'wallet', 'ann', '--address', mint)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/cannot be paid: it is a mint\.$/),
  })
  const text = await bramble('owners', 'wallet', 'ann', '--address', address)
  expect(text.out).toMatch(new RegExp(`wants you to sign in with your Solana account:\n${address}`))
  expect(await bramble('owners', 'wallet', 'ann', '--key', keyFile)).toMatchObject({
    code: 0,
    out: `ann is paid at ${address}.`,
  })
  const other = await makeKey('other.json')
  const waiting = await bramble('owners', 'wallet', 'ann', '--key', other.file)
  expect(waiting.out).toMatch(/^Another wallet is registered and did not sign: .* \(change 1\)\.$/)
  expect((await bramble('owners', 'list')).out).toMatch(
    new RegExp(`ann  Ann  ${address}\n.*change 1: ann will be paid at`, 's'),
  )
  expect(await bramble('owners', 'cancel', '1')).toMatchObject({ code: 0 })
  const atOnce = await bramble('owners', 'wallet', 'ann', '--key', other.file, '--old-key', keyFile)
  expect(atOnce.out).toBe(`ann is paid at ${other.key.address}.`)
})

it('lets a requester in, credits what it pays, spends it, and pays the rest back', async () => {
  const added = await bramble('requesters', 'add', 'gate', '--name', 'Gate camera')
  const key = added.out.split('\n').at(-1) ?? ''
  const ask = () =>
    here.call(
      '/api/tasks?model=mobilenet-v1&deadline=60000',
      { method: 'POST', body: new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 1]) },
      key,
    )
  const poor = await ask()
  expect([poor.status, await poor.json()]).toMatchObject([
    402,
    { error: { code: 'budget-exhausted', message: expect.stringMatching(/has 0 base units left/) } },
  ])

  const told = await bramble('requesters', 'deposit', 'gate')
  const [, depositWallet = ''] = /mint to (\S+)/.exec(told.out) ?? []
  await pay(wallet, depositWallet, 20_000_000n)
  await until(async () => {
    const { requester } = (await (await here.call('/api/requesters/gate')).json()) as RequesterDetail
    return requester.budget === '20000000' || undefined
  }, 'the credit')
  expect((await bramble('requesters', 'show', 'gate')).out).toContain('budget 20 BRMB')
  expect((await ask()).status).toBe(202)

  expect(await bramble('requesters', 'withdraw', 'gate', '5')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/requester\/gate has no wallet/),
  })
  expect(await bramble('owners', 'wallet', 'requester/gate', '--key', keyFile)).toMatchObject({ code: 0 })
  expect(await bramble('requesters', 'withdraw', 'gate', '20')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/budget:gate holds \d+/),
  })
  const { mint } = here.money.treasury.token
  const before = await wallet.tokenBalance(mint, address)
  const withdraw = (...amount: string[]) => bramble('requesters', 'withdraw', 'gate', ...amount)
  const asked = await withdraw('12.5', '--request-id', 'march')
  expect(asked).toMatchObject({ code: 0, out: expect.stringMatching(/^On its way in payout batch w-[\w-]+\.$/) })
  // Asked again because the answer got lost, it is the same withdrawal; for another amount it is refused.
  const [batch] = /w-[\w-]+/.exec(asked.out) ?? []
  expect((await withdraw('12.5', '--request-id', 'march')).out).toContain(batch)
  expect(await withdraw('1', '--request-id', 'march')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/march names a withdrawal of 12500000 base units already/),
  })
  const json = JSON.stringify({ units: '12500000' })
  const nameless = { method: 'POST', body: json, headers: { 'content-type': 'application/json' } }
  expect((await here.call('/api/requesters/gate/withdraw', nameless)).status).toBe(400)
  await until(
    async () => (await wallet.tokenBalance(mint, address)) === before + 12_500_000n || undefined,
    'the withdrawal in the wallet',
  )
  expect((await withdraw('12.5', '--request-id', 'march')).out).toContain(batch)
  expect((await bramble('requesters', 'list')).out).toMatch(/budget 7\.4999 BRMB, 0\.0001 BRMB reserved/)
  expect(await (await here.call('/api/ledger/check')).json()).toMatchObject({ ok: true } satisfies Partial<LedgerCheck>)
})
