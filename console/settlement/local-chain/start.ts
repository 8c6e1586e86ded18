// Starts the embedded chain: LiteSVM, kept in a folder, behind the standard Solana JSON-RPC.
import type { Logger } from 'pino'
import type { Chain } from './chain.ts'
import { openChain } from './chain.ts'
import { accountMethods } from './rpc/accounts.ts'
import { blockMethods } from './rpc/blocks.ts'
import { createDispatch, type Dispatch } from './rpc/dispatch.ts'
import { historyMethods } from './rpc/history.ts'
import { transactionMethods } from './rpc/transactions.ts'
import { serveChain } from './server.ts'

export interface LocalChain {
  readonly rpcUrl: string
  readonly wsUrl: string
  readonly port: number
  readonly genesisHash: string
  close(): Promise<void>
}

/** Every HTTP method of the local chain, from request text to answer text; a test may use it without a network. */
export const createRpc = (chain: Chain, log: Logger): Dispatch =>
  createDispatch(
    { ...blockMethods(chain), ...accountMethods(chain), ...transactionMethods(chain), ...historyMethods(chain) },
    log,
  )

/**
 * Rejects with ChainError `no-local-chain`, `in-use`, `damaged` or `port-taken`. The next port up is used as well
 * (WebSocket); `port` 0 takes any free pair.
 */
export async function startLocalChain(options: {
  readonly folder: string
  readonly host?: string
  readonly port: number
  readonly now: () => number
  readonly log: Logger
  readonly slotMs?: number
  readonly snapshotEvery?: number
}): Promise<LocalChain> {
  const { host = '127.0.0.1', port, log, ...rest } = options
  const chain = openChain({ ...rest, log })
  try {
    const server = await serveChain({ chain, dispatch: createRpc(chain, log), host, port, log })
    const shown = host.includes(':') ? `[${host}]` : host
    return {
      rpcUrl: `http://${shown}:${server.port}`,
      wsUrl: `ws://${shown}:${server.wsPort}`,
      port: server.port,
      genesisHash: chain.genesisHash,
      async close() {
        await server.close()
        chain.close()
      },
    }
  } catch (error) {
    chain.close()
    throw error
  }
}
