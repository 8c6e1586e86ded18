// The local chain seen by other people's clients: the same script, the same answers, over real HTTP and WebSocket.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type LocalChain, startLocalChain } from '../../console/settlement/local-chain/start.ts'
import { createKitClient } from './kit-client.ts'
import type { ScriptClient } from './rpc-script.ts'
import { createWeb3Client } from './web3-client.ts'

let chain: LocalChain
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bramble-chain-'))
  // Slots of 50 ms: finalized after 1.6 s, a blockhash lives 7.5 s.
  chain = await startLocalChain({ folder, port: 0, now: Date.now, log: pino({ level: 'silent' }), slotMs: 50 })
})
afterAll(async () => {
  await chain.close()
  await rm(folder, { recursive: true })
})

const CLIENTS: Readonly<Record<string, (chain: LocalChain) => Promise<ScriptClient>>> = {
  '@solana/web3.js 1.99 (WebSocket on the next port)': async ({ rpcUrl }) => createWeb3Client(rpcUrl),
  '@solana/kit 8 (WebSocket on the same port)': ({ rpcUrl }) => createKitClient(rpcUrl, rpcUrl.replace('http', 'ws')),
}

describe.each(Object.entries(CLIENTS))('an unmodified %s', (_name, connect) => {
  let client: ScriptClient
  beforeAll(async () => {
    client = await connect(chain)
  })
  afterAll(() => client.close())

  it('does the whole way from an airdrop to the history of a payment', async () => {
    expect(await client.health()).toBe('ok')
    expect(await client.genesisHash()).toBe(chain.genesisHash)
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
    expect(slot - finalized).toBeGreaterThanOrEqual(32n)
    expect(slot - finalized).toBeLessThanOrEqual(64n)
    expect(height).toBeLessThanOrEqual(slot)
    expect(epoch).toBe(0n)
    expect(await client.blockhashIsValid()).toBe(true)
    expect(await client.rent(0)).toBe(890_880n)
    expect(await client.rent(165)).toBe(2_039_280n)
    expect(await client.prioritizationFees()).toBeGreaterThan(0)
  })
})
