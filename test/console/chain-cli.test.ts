// The chain as an operator sees it from the command line: a real console, its real local chain, the real command.
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Keypair } from '@solana/web3.js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TransactionView } from '../../console/routes/chain.ts'
import { createSolana, type Solana } from '../../console/settlement/solana.ts'
import { createWeb3Client, tokenAddress } from '../settlement/web3-client.ts'
import { PACKAGE_ROOT, startTestConsole, type TestConsole } from './running-console.ts'

let here: TestConsole
let chain: Solana
const wallet = Keypair.generate()
const address = wallet.publicKey.toBase58()

const bramble = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const main = join(PACKAGE_ROOT, 'console/bramble.js')
    const all = [main, 'chain', ...args, '--data', here.data]
    const child = execFile(process.execPath, all, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out: out.trim(), err: err.trim() }),
    )
  })

beforeAll(async () => {
  here = await startTestConsole()
  const { rpcUrl } = here.money
  // What `bramble up` leaves for commands beside it.
  const ready = { console: { url: here.url, token: here.keys.token }, chain: { rpcUrl } }
  await writeFile(join(here.data, 'ready.json'), JSON.stringify(ready))
  chain = createSolana({ rpcUrl, treasury: { address, secretKey: wallet.secretKey }, sleep: async () => undefined })
})
afterAll(() => here.close())

it('says which chain and token, and what the treasury holds and owes', async () => {
  const { token, address: treasury } = here.money.treasury
  const { code, out } = await bramble('status')
  expect(code).toBe(0)
  expect(out.split('\n')).toEqual([
    'local chain',
    expect.stringMatching(new RegExp(`^ *token +BRMB, 6 decimals, mint ${token.mint}$`)),
    expect.stringMatching(new RegExp(`^ *treasury +${treasury}$`)),
    expect.stringMatching(/^ *holds +[\d,.]+ BRMB, owes [\d,.]+ BRMB/),
  ])
})

it('gives SOL and tokens to a wallet, and to nothing that is no wallet', async () => {
  expect(await bramble('airdrop', address, '1.5')).toMatchObject({
    code: 0,
    out: expect.stringMatching(new RegExp(`^${address} holds 1\\.5 SOL now \\(\\w{80,90}\\)\\.$`)),
  })
  expect(await chain.lamports(address)).toBe(1_500_000_000n)
  const { mint } = here.money.treasury.token
  expect(await bramble('mint', address, '12.25')).toMatchObject({
    code: 0,
    out: expect.stringMatching(new RegExp(`^12\\.25 BRMB for ${address} \\(\\w{80,90}\\)\\.$`)),
  })
  expect(await chain.tokenBalance(mint, address)).toBe(12_250_000n)

  for (const [asked, why] of [
    [['airdrop', address, 'much'], /much is not an amount of SOL/],
    [['mint', address, '0.0000001'], /0\.0000001 is not an amount of BRMB/],
    [['mint', tokenAddress(mint, address), '1'], /cannot be paid: the address is not a wallet/],
  ] as const)
    expect(await bramble(...asked)).toMatchObject({ code: 1, out: '', err: expect.stringMatching(why) })
  expect(await chain.tokenBalance(mint, address)).toBe(12_250_000n)
})

it('tells a transaction in words, and why there is nothing to tell', async () => {
  const minted = await bramble('mint', address, '3')
  const [, signature = ''] = /\((\w+)\)/.exec(minted.out) ?? []
  const { code, out } = await bramble('tx', signature)
  expect(code).toBe(0)
  expect(out).toMatch(/^went through in slot \d+ at 20\S+, 5000 lamports fee$/m)
  expect(out).toMatch(/^ +Associated Token: CreateIdempotent$/m)
  expect(out).toMatch(/^ +SPL Token: MintToChecked$/m)
  expect(out).toMatch(new RegExp(`^ +${address} +\\+3000000 base units of ${here.money.treasury.token.mint}$`, 'm'))
  expect(await bramble('tx', signature.split('').reverse().join(''))).toMatchObject({
    code: 1,
    err: expect.stringMatching(/knows no transaction/),
  })
})

it('names the accounts that a transaction took from a lookup table', async () => {
  const client = createWeb3Client(here.money.rpcUrl)
  await client.airdrop(1)
  const mint = await client.makeMint(1_000n, 6)
  const { signature, table } = await client.payThroughTable(mint, 7n, 6)
  expect((await bramble('tx', signature)).out).toMatch(new RegExp(`^ +1 account from lookup table ${table}$`, 'm'))
  const told = (await (await here.call(`/api/chain/transactions/${signature}`)).json()) as TransactionView
  expect(told.tables).toEqual([{ address: table, accounts: 1 }])
  const [paid] = told.changes.filter(({ units }) => units === '7')
  expect(told.instructions).toMatchObject([
    {
      name: 'SPL Token: TransferChecked',
      accounts: [tokenAddress(mint, client.payer), mint, paid?.account, client.payer],
    },
  ])
  await client.close()
})
