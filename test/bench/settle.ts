// `node test/bench/settle.ts [--json] [--owners N]`: from "settle now" until every owner's payout is final, on a local chain with
// its usual slots of 400 ms, over HTTP, on files with every commit flushed. First to wallets without token accounts, then to the same
// with, then through lookup tables.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Keypair } from '@solana/web3.js'
import { pino } from 'pino'
import { accounts } from '../../console/rewards/accounts.ts'
import { post } from '../../console/rewards/ledger.ts'
import type { ChainKey } from '../../console/settlement/keys.ts'
import { startLocalChain } from '../../console/settlement/local-chain/start.ts'
import { createPayouts, type Payouts } from '../../console/settlement/payouts.ts'
import { createSolana } from '../../console/settlement/solana.ts'
import { list } from '../../console/settlement/tables/shelf.ts'
import { TERMS } from '../../console/settlement/tables/worth.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'
import { nameWallet } from '../../console/wallets/wallets.ts'

const UNITS = 1_000n
const SETTINGS = { minimumUnits: 1n, accountFeeUnits: 0n, keepMarkersMs: 2_592_000_000, quietBlocks: 0, tables: TERMS }
const log = pino({ level: 'silent' })

interface SettleFigures {
  readonly owners: number
  readonly accounts: 'made on the way' | 'there' | 'in lookup tables'
  readonly seconds: number
  readonly transactions: number
}

const newKey = (): ChainKey => {
  const { publicKey, secretKey } = Keypair.generate()
  return { address: publicKey.toBase58(), secretKey }
}

const owe = (store: Store, owners: readonly string[], round: number): Promise<void> =>
  store.db.transaction().execute(async (trx) => {
    const at = Date.now()
    const lines = owners.map((owner) => ({ from: accounts.outside, to: accounts.payable(owner), amount: UNITS, at }))
    await post(
      trx,
      lines.map((line, index) => ({ kind: 'grant' as const, ref: `bench:${round}:${index}`, ...line })),
    )
  })

async function settle(store: Store, payouts: Payouts): Promise<{ seconds: number; transactions: number }> {
  const began = performance.now()
  const { planned } = await payouts.settleNow()
  const open = store.db.selectFrom('payout_batches').select('id').where('state', '!=', 'finalized')
  while ((await open.execute()).length > 0) {
    await sleep(200)
    await payouts.turn()
  }
  const attempts = await store.db
    .selectFrom('payout_attempts')
    .select('attempt')
    .where('batch_id', 'in', planned)
    .execute()
  return { seconds: (performance.now() - began) / 1_000, transactions: attempts.length }
}

/** Lists all accounts, as a quarter of daily payouts would have it, and waits until the tables are filled. */
async function fillTables(store: Store, payouts: Payouts, accountOf: (wallet: string) => string): Promise<void> {
  const wallets = await store.db.selectFrom('wallets').select('address').execute()
  const listings = wallets.map(({ address: wallet }) => ({ wallet, account: accountOf(wallet) }))
  await store.db.transaction().execute((trx) => list(trx, listings, Date.now()))
  const seen = store.db.selectFrom('lookup_tables').select(({ fn }) => fn.sum<number>('seen').as('seen'))
  while (Number((await seen.executeTakeFirstOrThrow()).seen) < listings.length) {
    await sleep(500)
    await payouts.tend()
  }
}

async function measure(folder: string, count: number): Promise<SettleFigures[]> {
  const chain = await startLocalChain({ folder: join(folder, 'chain'), port: 0, now: Date.now, log })
  const store = await openDatabase(join(folder, 'console.db'))
  const solana = createSolana({ rpcUrl: chain.rpcUrl, treasury: newKey(), sleep: (ms) => sleep(ms) })
  await solana.airdrop(solana.treasury, 100_000_000_000)
  const mint = newKey()
  await solana.createMint(mint, 6, 10n ** 12n)
  const owners = Array.from({ length: count }, (_, index) => `owner-${index}`)
  await store.db.transaction().execute(async (trx) => {
    for (const id of owners) {
      await trx.insertInto('owners').values({ id, name: id, created_at: Date.now() }).execute()
      await nameWallet(trx, id, newKey().address, Date.now())
    }
  })
  const payer = solana.payer({ mint: mint.address, decimals: 6 })
  const payouts = createPayouts({
    db: store.db,
    chain: payer,
    holder: 'bench',
    now: Date.now,
    log,
    moved: () => undefined,
    settings: SETTINGS,
  })
  try {
    const figures: SettleFigures[] = []
    for (const [round, has] of (['made on the way', 'there', 'in lookup tables'] as const).entries()) {
      if (has === 'in lookup tables') await fillTables(store, payouts, payer.accountOf)
      await owe(store, owners, round)
      figures.push({ owners: count, accounts: has, ...(await settle(store, payouts)) })
    }
    return figures
  } finally {
    await store.close()
    await chain.close()
  }
}

const { values } = parseArgs({ options: { owners: { type: 'string', default: '1000' }, json: { type: 'boolean' } } })
const folder = mkdtempSync(join(tmpdir(), 'bramble-settle-'))
try {
  const figures = await measure(folder, Number(values.owners))
  const told = figures.map(
    ({ owners, accounts: has, seconds, transactions }) =>
      `${owners} owners, token accounts ${has}: final after ${seconds.toFixed(1)} s, ${transactions} transactions`,
  )
  process.stdout.write(`${values.json ? JSON.stringify(figures) : told.join('\n')}\n`)
} finally {
  rmSync(folder, { recursive: true })
}
