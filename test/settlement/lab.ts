// A whole local chain in this process: real LiteSVM, real JSON-RPC text, an unmodified web3.js Connection on top, but no
// sockets, and a clock that only moves when told. Faults are put where the network would be.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { type ChainKey, readOrCreateKeyFile } from '../../console/settlement/keys.ts'
import { type Chain, openChain } from '../../console/settlement/local-chain/chain.ts'
import { createRpc } from '../../console/settlement/local-chain/start.ts'
import { createSolana, type Solana, type Token } from '../../console/settlement/solana.ts'

export const silent = pino({ level: 'silent' })

export interface Clock {
  now: () => number
  advance(ms: number): void
}
export const createClock = (startMs = 1_790_000_000_000): Clock => {
  let at = startMs
  return {
    now: () => at,
    advance: (ms) => {
      at += Math.floor(ms)
    },
  }
}

/** What the network does with one RPC call: `forward` runs it on the chain. */
export type Wire = (method: string, body: string, forward: () => string) => Promise<string>

export interface Lab {
  readonly folder: string
  readonly clock: Clock
  readonly chain: Chain
  readonly treasury: ChainKey
  readonly solana: Solana
  /** Another client of the same chain, its network played by `wire`. */
  client(wire: Wire): Solana
  /** A raw JSON-RPC call. */
  call(
    method: string,
    ...params: unknown[]
  ): { result?: unknown; error?: { code: number; message: string; data?: unknown } }
  text(body: string): string | undefined
  makeToken(supply?: bigint): Promise<Token>
  close(): void
}

export async function createLab(options: { slotMs?: number; startMs?: number } = {}): Promise<Lab> {
  // In memory where the system offers it: thousands of flushes to a shared disk would be most of the time.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'bramble-lab-'))
  const clock = createClock(options.startMs)
  const chain = openChain({ folder: join(folder, 'chain'), now: clock.now, log: silent, slotMs: options.slotMs ?? 400 })
  const rpc = createRpc(chain, silent)
  const treasury = await readOrCreateKeyFile(join(folder, 'treasury.json'))
  const forwarded = (body: string): string => rpc(body) ?? ''
  const client = (wire: Wire): Solana =>
    createSolana({
      rpcUrl: 'http://lab.invalid',
      treasury,
      sleep: async (ms) => clock.advance(ms),
      fetch: async (_url, init) => {
        const body = String(init?.body)
        return new Response(await wire(JSON.parse(body).method, body, () => forwarded(body)))
      },
    })
  const solana = client(async (_method, _body, forward) => forward())
  return {
    folder,
    clock,
    chain,
    treasury,
    solana,
    client,
    text: (body) => rpc(body),
    call: (method, ...params) => JSON.parse(forwarded(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))),
    async makeToken(supply = 10n ** 15n) {
      const key = await readOrCreateKeyFile(join(folder, 'mint.json'))
      await solana.airdrop(solana.treasury, 1_000_000_000_000)
      await solana.createMint(key, 6, supply)
      return { mint: key.address, decimals: 6 }
    },
    close() {
      chain.close()
      rmSync(folder, { recursive: true })
    },
  }
}
