// The local chain seen by other people's clients, beside a chain that is not ours: the same script, the same answers, over real
// HTTP and WebSocket.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startLocalChain } from '../../console/settlement/local-chain/start.ts'
import { createKitClient } from './kit-client.ts'
import type { Page, ScriptClient } from './rpc-script.ts'
import { startSurfpool, surfpoolMissing } from './surfpool.ts'
import { createWeb3Client } from './web3-client.ts'

interface Target {
  readonly rpcUrl: string
  readonly wsUrl: string
  /** Absent where it is on the port after the RPC's, as on every validator. */
  readonly web3WsUrl?: string
  close(): Promise<void>
}

async function startOurs(): Promise<Target> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-chain-'))
  // Slots of 50 ms: finalized after 1.6 s, a blockhash lives 7.5 s.
  const chain = await startLocalChain({ folder, port: 0, now: Date.now, log: pino({ level: 'silent' }), slotMs: 50 })
  return {
    rpcUrl: chain.rpcUrl,
    wsUrl: chain.rpcUrl.replace('http', 'ws'),
    async close() {
      await chain.close()
      await rm(folder, { recursive: true })
    },
  }
}

async function startOther(): Promise<Target> {
  const net = startSurfpool()
  return { rpcUrl: net.rpcUrl, wsUrl: net.wsUrl, web3WsUrl: net.wsUrl, close: async () => net.stop() }
}

const CHAINS = [
  { chain: 'our local chain', start: startOurs, missing: undefined, tellsFees: true, listsLoaded: true },
  { chain: 'surfpool', start: startOther, missing: surfpoolMissing, tellsFees: false, listsLoaded: false },
] as const

const CLIENTS: Readonly<Record<string, (target: Target) => Promise<ScriptClient>>> = {
  '@solana/web3.js 1.99': async ({ rpcUrl, web3WsUrl }) => createWeb3Client(rpcUrl, web3WsUrl),
  '@solana/kit 8': ({ rpcUrl, wsUrl }) => createKitClient(rpcUrl, wsUrl),
}

const EACH = CHAINS.flatMap((one) => Object.entries(CLIENTS).map(([name, connect]) => ({ ...one, name, connect })))

describe.each(EACH)('$chain and an unmodified $name', ({ start, missing, connect, tellsFees, listsLoaded }) => {
  let target: Target
  let client: ScriptClient
  beforeAll(async () => {
    if (missing !== undefined) return
    target = await start()
    client = await connect(target)
  })
  afterAll(async () => {
    await client?.close()
    await target?.close()
  })
  beforeEach((context) => context.skip(missing !== undefined, missing))

  it('does the whole way from an airdrop to the history of a payment', async () => {
    expect(await client.health()).toBe('ok')
    expect(await client.genesisHash()).toMatch(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/)
    await client.airdrop(10)
    expect(await client.balance()).toBe(10_000_000_000n)

    const mint = await client.makeMint(1_000_000n, 6)
    expect(await client.mintAccount(mint)).toEqual({
      owner: 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA',
      space: 82,
      lamports: await client.rent(82),
    })
    expect(await client.supply(mint)).toBe(1_000_000n)
    expect(await client.tokenBalance(mint, client.payer)).toBe(1_000_000n)
    expect(await client.fee(mint)).toBe(5_000n)

    const before = await client.balance()
    const { payee, signature } = await client.pay(mint, 2_500n, 6, 'bramble:e1-contract')
    expect(await client.tokenBalance(mint, payee)).toBe(2_500n)
    expect(await client.tokenBalance(mint, client.payer)).toBe(997_500n)
    expect(before - (await client.balance())).toBe(5_000n + (await client.rent(165)))
    expect(await client.tokenAccounts(payee, mint)).toEqual([{ amount: '2500', mint, owner: payee }])

    expect(await client.status(signature)).toMatchObject({ err: null })
    const [newest] = await client.history(client.payer)
    expect(newest).toMatchObject({ signature, memo: '[19] bramble:e1-contract', err: null })
    expect(await client.transaction(signature)).toMatchObject({ fee: 5_000n, memoLogged: true, tokenDelta: 2_500n })
  })

  it('is told why a transfer of more than there is fails, before it is sent', async () => {
    await client.airdrop(1)
    const mint = await client.makeMint(1_000n, 6)
    const simulated = await client.simulate(mint, 10n ** 15n, 6)
    expect(simulated.err).toEqual({ InstructionError: [1, { Custom: 1 }] })
    expect(simulated.logs.join('\n')).toContain('insufficient funds')
    const refused = await client.send(mint, 10n ** 15n, 6)
    expect(refused.message).toMatch(/custom program error/i)
    expect(refused.logs.join('\n')).toContain('insufficient funds')
    expect(await client.tokenBalance(mint, client.payer)).toBe(1_000n)
  })

  it('proves the decimals on the chain: a transfer that names others is refused', async () => {
    const mint = await client.makeMint(1_000n, 6)
    // Custom 18 is MintDecimalsMismatch.
    expect((await client.simulate(mint, 10n, 9)).err).toEqual({ InstructionError: [1, { Custom: 18 }] })
    expect((await client.simulate(mint, 10n, 6)).err).toBeNull()
  })

  it('sees slots, heights, epochs, blockhashes and fees as on a cluster', async () => {
    await expect.poll(async () => (await client.slots()).finalized, { timeout: 10_000 }).toBeGreaterThan(0n)
    const { slot, finalized, height, epoch } = await client.slots()
    // Three calls one after another: a few slots may pass between them.
    expect(slot - finalized).toBeGreaterThanOrEqual(31n)
    expect(slot - finalized).toBeLessThanOrEqual(64n)
    expect(height).toBeLessThanOrEqual(slot)
    expect(epoch).toBeLessThanOrEqual(slot / 8_192n)
    expect(await client.blockhashIsValid()).toBe(true)
    expect(await client.rent(0)).toBe(890_880n)
    expect(await client.rent(165)).toBe(2_039_280n)
    expect((await client.prioritizationFees()) > 0).toBe(tellsFees)
  })

  it('makes an account from a seed once only, and gives its rent back', async () => {
    await client.airdrop(1)
    const marker = await client.makeSeeded('e1-1', 'bramble:e1-1')
    expect(await client.lamportsOf(marker)).toBe(890_880n)
    expect((await client.history(marker)).map(({ memo }) => memo)).toEqual(['[12] bramble:e1-1'])
    expect(await client.tryoutSeeded('e1-1')).toEqual({ InstructionError: [0, { Custom: 0 }] })
    expect(await client.tryoutSeeded('e1-2')).toBeNull()
    const before = await client.balance()
    await client.emptySeeded('e1-1')
    expect(await client.lamportsOf(marker)).toBe(0n)
    expect((await client.balance()) - before).toBe(890_880n - 5_000n)
  })

  it('lists what concerns an address by pages, the newest first', async () => {
    await client.airdrop(1)
    const mint = await client.makeMint(1_000n, 6)
    const { payee, signature: first } = await client.pay(mint, 1n, 6, 'bramble:page-1')
    const { signature: second } = await client.pay(mint, 2n, 6, 'bramble:page-2')
    const { signature: third } = await client.pay(mint, 3n, 6, 'bramble:page-3')
    const page = async (options: Page) => (await client.history(mint, options)).map(({ signature }) => signature)
    expect((await page({})).slice(0, 3)).toEqual([third, second, first])
    expect(await page({ limit: 1 })).toEqual([third])
    expect(await page({ limit: 1, before: third })).toEqual([second])
    expect(await page({ until: first })).toEqual([third, second])
    expect(await page({ before: third, until: first })).toEqual([second])
    expect((await client.history(mint, { before: third }))[0]?.memo).toBe('[14] bramble:page-2')
    expect(await client.allTokens(payee)).toContain(mint)
  })

  it('pays through a lookup table, and tells which addresses came from it', async () => {
    await client.airdrop(1)
    const mint = await client.makeMint(1_000n, 6)
    const { signature, table } = await client.payThroughTable(mint, 7n, 6)
    const told = await client.transaction(signature)
    const lookups = [{ table, writable: [0], readonly: [] }]
    expect(told).toMatchObject({ fee: 5_000n, tokenDelta: 7n, lookups })
    expect(told?.loaded).toHaveLength(1)
    const [newest] = await client.history(told?.loaded[0] ?? '')
    expect(newest?.signature === signature).toBe(listsLoaded)
    const [paid] = await client.history(client.payer)
    expect(paid).toMatchObject({ signature, err: null })

    const listed = { authority: client.payer, addresses: told?.loaded }
    expect(await client.tableAccount(table)).toEqual({ ...listed, isActive: true })
    await client.deactivateTable(table)
    expect(await client.tableAccount(table)).toEqual({ ...listed, isActive: false })
  })

  it('tells slots as they pass, and refuses to answer from before the slot one insists on', async () => {
    const seen = await client.nextSlot()
    expect(await client.nextSlot()).toBeGreaterThan(seen)
    expect(await client.balanceFrom(1n)).toBe(await client.balance())
    await expect(client.balanceFrom(seen + 10_000n)).rejects.toThrow(/minimum context slot/i)
  })
})
