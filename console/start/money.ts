// The chain, the treasury and the payout engine of this start.
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Config } from '../config.ts'
import type { Events } from '../events.ts'
import type { TransactionView } from '../routes/chain.ts'
import type { Settlement } from '../routes/payouts.ts'
import type { Treasury } from '../routes/views/money.ts'
import type { PayoutViews } from '../routes/views/payouts.ts'
import { ChainError } from '../settlement/chain-error.ts'
import { reconcileAll, type WholeReconciliation } from '../settlement/collect.ts'
import { createHoldings } from '../settlement/holdings.ts'
import { readKeyFile, readOrCreateKeyFile } from '../settlement/keys.ts'
import { startLocalChain } from '../settlement/local-chain/start.ts'
import { createPayouts, type Payouts, type Settled } from '../settlement/payouts.ts'
import { createSolana, type Solana } from '../settlement/solana.ts'
import type { ReadTransaction } from '../settlement/solana-viewer.ts'
import { TERMS } from '../settlement/tables/worth.ts'
import { openTreasury } from '../settlement/treasury.ts'
import type { Store } from '../store/open.ts'
import { dialable } from './addresses.ts'
import { type Funding, openFunding } from './funding.ts'
import type { Surroundings } from './surroundings.ts'

/** Balances are shown, not paid from: they may be this old. */
const BALANCE_MS = 3_000
const DAY_MS = 86_400_000
/** A blockhash lives for 150 blocks; what was sent with it has landed and is final, or never will, some 40 blocks later. */
const QUIET_BLOCKS = 200

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
  /** Payouts and deposits on the chain against the database; undefined when the chain does not answer. */
  readonly reconcile: () => Promise<WholeReconciliation | undefined>
  readonly funding: Funding
  /** Why money waits, one sentence each. */
  readonly troubles: () => readonly string[]
  readonly transaction: (signature: string) => Promise<TransactionView | undefined>
}

async function openChain({ config }: MoneyOptions, { now, log, stack }: Surroundings): Promise<string> {
  if (config.cluster !== 'local' || config.rpcUrl !== undefined) return config.rpcUrl ?? ''
  const chain = await startLocalChain({
    folder: join(config.data, 'chain'),
    host: config.host,
    port: config.chain,
    slotMs: config.slotMs,
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
  const feePayer = config.feePayerKey === undefined ? undefined : await readKeyFile(config.feePayerKey)
  const rpcUrl = await openChain(options, surroundings)
  const solana = createSolana({ rpcUrl, treasury: key, ...(feePayer && { feePayer }), sleep: (ms) => wait(ms) })
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
  const funding = openFunding({ config, store, events, solana, token }, surroundings)
  const payer = solana.payer(token)
  const payouts = createPayouts({
    db: store.db,
    chain: payer,
    holder: options.holder,
    now,
    readDeposits: funding.deposits.readAll,
    log: log.child({ part: 'payouts' }),
    moved: (id) => {
      events.emit({ about: 'payout', id })
      events.emit({ about: 'rewards' })
    },
    settings: {
      minimumUnits: config.minimumPayoutUnits,
      accountFeeUnits: config.accountFeeUnits,
      keepMarkersMs: config.markerDays * DAY_MS,
      quietBlocks: config.cluster === 'local' ? 0 : QUIET_BLOCKS,
      ...(config.lookupTables && { tables: TERMS }),
    },
  })
  return {
    rpcUrl,
    payouts,
    reconcile: () => reconcileAll(store.db, payer, funding.chain).catch(unlessUnreachable),
    funding,
    troubles() {
      const { trouble, notice } = payouts.standing()
      return [trouble, funding.deposits.trouble(), notice].filter((why) => why !== undefined)
    },
    treasury: {
      cluster,
      token: { symbol: config.tokenSymbol, decimals: token.decimals, mint: token.mint },
      address: solana.treasury,
      holdings: createHoldings({ db: store.db, solana, mint: token.mint, now }),
      balanceOf,
    },
    transaction: async (signature) => viewOf(await solana.transaction(signature).catch(() => undefined)),
  }
}

const unlessUnreachable = (error: unknown): undefined => {
  if (!(error instanceof ChainError)) throw error
}

const viewOf = (read: ReadTransaction | undefined): TransactionView | undefined =>
  read && {
    signature: read.signature,
    slot: read.slot,
    ...(read.atMs !== undefined && { at: new Date(read.atMs).toISOString() }),
    feeLamports: read.feeLamports,
    ...(read.error !== undefined && { error: read.error }),
    signers: [...read.signers],
    instructions: read.instructions.map(({ accounts, ...rest }) => ({ ...rest, accounts: [...accounts] })),
    tables: read.tables.map((table) => ({ ...table })),
    changes: read.changes.map(({ units, ...rest }) => ({ ...rest, units: String(units) })),
    logs: [...read.logs],
  }

/** What a settlement did, in one sentence. */
export async function settle(payouts: Payouts, views: Pick<PayoutViews, 'many'>): Promise<Settlement> {
  const settled = await payouts.settleNow()
  return { message: sentenceOf(settled), payouts: await views.many(settled.planned) }
}

function sentenceOf({ payouts, held, waits }: Settled): string {
  if (waits !== undefined) return `Not planned yet, but as soon as it can be: ${waits}.`
  // A publisher or operator without a wallet is no news at every settlement.
  const first = held.find(({ payee, wallet }) => !payee.includes('/') || wallet !== undefined)
  const kept = first?.held === undefined ? '' : ` ${first.payee} stays unpaid: ${first.held}.`
  if (payouts > 0) return `${payouts} ${payouts === 1 ? 'payout is' : 'payouts are'} on the way.${kept}`
  return kept === '' ? 'Nothing has left the hold yet, so there is nothing to pay.' : `Nothing to pay.${kept}`
}
