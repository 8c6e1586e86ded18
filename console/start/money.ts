// The chain, the treasury and the payout engine of this start.
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Config } from '../config.ts'
import type { Events } from '../events.ts'
import type { Settlement } from '../routes/payouts.ts'
import type { Treasury } from '../routes/views/money.ts'
import type { PayoutViews } from '../routes/views/payouts.ts'
import { readKeyFile, readOrCreateKeyFile } from '../settlement/keys.ts'
import { startLocalChain } from '../settlement/local-chain/start.ts'
import { createPayouts, type Payouts, type Settled } from '../settlement/payouts.ts'
import { createSolana, type Solana } from '../settlement/solana.ts'
import { openTreasury } from '../settlement/treasury.ts'
import type { Store } from '../store/open.ts'
import { dialable } from './addresses.ts'
import type { Surroundings } from './surroundings.ts'

export const SYMBOL = 'BRMB'
/** Balances are shown, not paid from: they may be this old. */
const BALANCE_MS = 3_000

export interface MoneyOptions {
  readonly config: Config
  readonly store: Store
  readonly events: Pick<Events, 'emit'>
  readonly keysFolder: string
  /**
   * Names this console as the writer of payouts. The same at every start: the lock on the data folder says that the one
   * before is gone, so there is no lease of its own to wait for.
   */
  readonly holder: string
  /** Base units that a new local chain's treasury begins with. */
  readonly supply: bigint
}

export interface Money {
  readonly rpcUrl: string
  readonly treasury: Treasury
  readonly payouts: Payouts
  readonly transaction: (signature: string) => Promise<Record<string, unknown> | undefined>
}

async function openChain({ config }: MoneyOptions, { now, log, stack }: Surroundings): Promise<string> {
  if (config.cluster !== 'local' || config.rpcUrl !== undefined) return config.rpcUrl ?? ''
  const chain = await startLocalChain({
    folder: join(config.data, 'chain'),
    host: config.host,
    port: config.chain,
    now,
    log: log.child({ part: 'chain' }),
  })
  stack.defer(() => chain.close())
  return dialable(chain.rpcUrl)
}

/** Answers undefined where the chain does not answer, and remembers each answer for a moment. */
function createBalances(solana: Pick<Solana, 'tokenBalance'>, mint: string, now: () => number) {
  const known = new Map<string, { at: number; units: Promise<bigint | undefined> }>()
  return (wallet: string): Promise<bigint | undefined> => {
    const held = known.get(wallet)
    if (held && now() - held.at < BALANCE_MS) return held.units
    const units = solana.tokenBalance(mint, wallet).catch(() => undefined)
    known.set(wallet, { at: now(), units })
    return units
  }
}

export async function openMoney(options: MoneyOptions, surroundings: Surroundings): Promise<Money> {
  const { config, store, events, keysFolder } = options
  const { now, log } = surroundings
  const { cluster } = config
  const keyFile = config.treasuryKey ?? join(keysFolder, 'treasury.json')
  // Only a local chain's key may be made here: any other holds real money.
  const key = cluster === 'local' ? await readOrCreateKeyFile(keyFile) : await readKeyFile(keyFile)
  const rpcUrl = await openChain(options, surroundings)
  const solana = createSolana({ rpcUrl, treasury: key, sleep: (ms) => wait(ms) })
  const { mint, supply } = { mint: config.mint, supply: options.supply }
  const token = await openTreasury({
    db: store.db,
    solana,
    cluster,
    keysFolder,
    supply,
    ...(mint !== undefined && { mint }),
  })
  const balanceOf = createBalances(solana, token.mint, now)
  const payouts = createPayouts({
    db: store.db,
    chain: solana.payer(token),
    holder: options.holder,
    now,
    log: log.child({ part: 'payouts' }),
    moved: (id) => {
      events.emit({ about: 'payout', id })
      events.emit({ about: 'rewards' })
    },
    settings: { minimumUnits: config.minimumPayoutUnits },
  })
  return {
    rpcUrl,
    payouts,
    treasury: {
      cluster,
      token: { symbol: SYMBOL, decimals: token.decimals, mint: token.mint },
      address: solana.treasury,
      balance: () => balanceOf(solana.treasury),
      balanceOf,
    },
    transaction: async (signature) => plain(await solana.transaction(signature).catch(() => undefined)),
  }
}

/** As JSON would carry it: the library's answer holds keys and buffers as objects of classes. */
const plain = (transaction: object | undefined): Record<string, unknown> | undefined =>
  transaction && (JSON.parse(JSON.stringify(transaction)) as Record<string, unknown>)

/** What a settlement did, in one sentence. */
export async function settle(payouts: Payouts, views: Pick<PayoutViews, 'many'>): Promise<Settlement> {
  const settled = await payouts.settleNow()
  return { message: sentenceOf(settled), payouts: await views.many(settled.planned) }
}

function sentenceOf({ planned, held }: Settled): string {
  const [first] = held
  const kept = first?.held === undefined ? '' : ` ${first.owner} stays unpaid: ${first.held}.`
  if (planned.length > 0)
    return `${planned.length} ${planned.length === 1 ? 'payout is' : 'payouts are'} on the way.${kept}`
  return kept === '' ? 'Nothing has left the hold yet, so there is nothing to pay.' : `Nothing to pay.${kept}`
}
