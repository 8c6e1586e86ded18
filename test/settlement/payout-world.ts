// A small world for the payout engine: real database, real chain, seeded faults (faulty-network.ts), and a death that can
// strike between any two statements or RPC calls (mortal.ts). What is asserted in the end is what the wallets hold on the chain.
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { Keypair } from '@solana/web3.js'
import { sql } from 'kysely'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf, post } from '../../console/rewards/ledger.ts'
import type { ChainKey } from '../../console/settlement/keys.ts'
import type { PayoutChain } from '../../console/settlement/payer.ts'
import { createPayouts, type PayoutSettings, type Payouts } from '../../console/settlement/payouts.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { list } from '../../console/settlement/tables/shelf.ts'
import type { TableTerms } from '../../console/settlement/tables/worth.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'
import { createNetwork, type Faults, type Network, NO_FAULTS } from './faulty-network.ts'
import { type Lab, silent } from './lab.ts'
import { createLife, type Life, mortal, mortalChain } from './mortal.ts'

export interface World {
  readonly store: Store
  readonly owners: readonly { id: string; wallet: string }[]
  readonly moves: string[]
  readonly treasury: ChainKey
  engine(life?: Life, holder?: string, settings?: Partial<PayoutSettings>): Payouts
  chain(life?: Life): PayoutChain
  /** May be replaced by another one. */
  network: Network
  /** As if a packet held so many bytes less: batches are cut otherwise. */
  paddingBytes: number
  /** More for an owner; remembered outside the database too. */
  credit(owner: string, units: bigint): Promise<void>
  /** Every address that was ever an owner's, newest last; here the world forgets nothing. */
  walletsOf(owner: string): readonly string[]
  ownerOf(wallet: string): string | undefined
  /** An owner registers a wallet that it has not had before, or, unless told to, the one it has. */
  register(owner: string, isNew?: boolean): Promise<void>
  /** What the ledger says of an owner. */
  ledger(): Promise<{ id: string; wallet: string; owed: bigint; paid: bigint; inPayout: bigint; payable: bigint }[]>
  /** What the chain says: base units in the wallet. */
  held(wallet: string): Promise<bigint>
  /** In all wallets of an owner. */
  heldBy(owner: string): Promise<bigint>
  openBatches(): Promise<number>
  /** Has the accounts of all owners listed in lookup tables, whether that pays or not. */
  list(): Promise<void>
  /** A copy of the database as it is now. */
  backup(): Promise<string>
  /** The database is that of the backup from now on; what owners were credited since is credited again. */
  restore(file: string): Promise<void>
  close(): Promise<void>
}

let files = 0

export const SETTINGS: PayoutSettings = {
  minimumUnits: 1n,
  accountFeeUnits: 0n,
  keepMarkersMs: 30 * 86_400_000,
  quietBlocks: 0,
}

/** So that what the world has had listed is not reviewed, and nothing is listed beside. */
const TABLES: TableTerms = { periodMs: 10 ** 12, yieldPerYear: 1_000 }

/** For an engine that shall go without. */
export const NO_TABLES: Partial<PayoutSettings> = {}

export async function createWorld(options: {
  readonly lab: Lab
  readonly token: Token
  readonly amounts: readonly bigint[]
  readonly faults?: Faults
  readonly random?: () => number
  readonly settings?: Partial<PayoutSettings>
  /** As if a packet held so many bytes less: then a few owners do what many do otherwise. */
  readonly paddingBytes?: number
  /** Of its own unless named: what another world paid from it would be found there and taken for lost. */
  readonly treasury?: ChainKey
  readonly feePayer?: ChainKey
}): Promise<World> {
  const { lab, token, amounts, faults = NO_FAULTS, random = () => 0 } = options
  let { paddingBytes = 0 } = options
  let store = await openDatabase(':memory:')
  const owners = amounts.map((_, index) => ({
    id: `owner${index + 1}`,
    wallet: Keypair.generate().publicKey.toBase58(),
  }))
  const wallets = new Map(owners.map(({ id, wallet }) => [id, [wallet]]))
  const at = lab.clock.now()
  const credits: { owner: string; ref: string; units: bigint }[] = []
  const postCredits = (news: typeof credits) =>
    store.db.transaction().execute((trx) =>
      post(
        trx,
        // As a budget that is spent: whatever comes from outside goes into one.
        news.flatMap(({ owner, ref, units: amount }) => [
          { kind: 'grant', ref, from: accounts.outside, to: accounts.budget('world'), amount, at },
          { kind: 'release', ref, from: accounts.budget('world'), to: accounts.payable(owner), amount, at },
        ]),
      ),
    )
  const credit = async (owner: string, units: bigint): Promise<void> => {
    credits.push({ owner, ref: `credit ${credits.length + 1}`, units })
    await postCredits(credits.slice(-1))
  }
  await store.db.transaction().execute(async (trx) => {
    for (const { id, wallet } of owners) {
      await trx.insertInto('owners').values({ id, name: id, created_at: at }).execute()
      await trx.insertInto('wallets').values({ payee: id, address: wallet, since: at, proof: 'operator' }).execute()
    }
  })
  for (const [index, units] of amounts.entries()) await credit(owners[index]?.id ?? '', units)
  let network = createNetwork(lab, faults, random)
  const treasury = options.treasury ?? (await lab.makeTreasury(token))
  const solana = lab.client((...call) => network.wire(...call), treasury, options.feePayer)
  const moves: string[] = []

  const chain = (life = createLife()): PayoutChain => {
    const real = mortalChain(life, solana.payer(token))
    return { ...real, sizeOf: (...payment) => real.sizeOf(...payment) + paddingBytes }
  }
  const walletsOf = (owner: string): string[] => wallets.get(owner) ?? []
  const held = (wallet: string): Promise<bigint> => lab.solana.tokenBalance(token.mint, wallet)
  const owedTo = (owner: string): bigint =>
    credits.filter((one) => one.owner === owner).reduce((sum, { units }) => sum + units, 0n)

  return {
    get store() {
      return store
    },
    owners,
    moves,
    treasury,
    get network() {
      return network
    },
    set network(other) {
      network = other
    },
    get paddingBytes() {
      return paddingBytes
    },
    set paddingBytes(bytes) {
      paddingBytes = bytes
    },
    chain,
    credit,
    walletsOf,
    ownerOf: (wallet) => owners.find(({ id }) => walletsOf(id).includes(wallet))?.id,
    async register(payee, isNew = false) {
      if (isNew) walletsOf(payee).push(Keypair.generate().publicKey.toBase58())
      const address = walletsOf(payee).at(-1) ?? ''
      await store.db
        .insertInto('wallets')
        .values({ payee, address, since: lab.clock.now(), proof: 'operator' })
        .onConflict((conflict) => conflict.column('payee').doUpdateSet({ address }))
        .execute()
    },
    engine: (life = createLife(), holder = 'console-1', settings = {}) =>
      createPayouts({
        db: store.db.withPlugin(mortal(life)),
        chain: chain(life),
        holder,
        now: lab.clock.now,
        log: silent,
        moved(id, state) {
          life.step('moved')
          moves.push(`${id} ${state}`)
        },
        settings: { ...SETTINGS, ...(settings !== NO_TABLES && { tables: TABLES }), ...options.settings, ...settings },
        sleep: async (ms) => lab.clock.advance(ms),
      }),
    ledger: () =>
      Promise.all(
        owners.map(async ({ id, wallet }) => ({
          id,
          wallet,
          owed: owedTo(id),
          paid: await balanceOf(store.db, accounts.paid(id)),
          inPayout: await balanceOf(store.db, accounts.inPayout(id)),
          payable: await balanceOf(store.db, accounts.payable(id)),
        })),
      ),
    held,
    async heldBy(owner) {
      const sums = await Promise.all(walletsOf(owner).map(held))
      return sums.reduce((a, b) => a + b, 0n)
    },
    async openBatches() {
      const rows = await store.db.selectFrom('payout_batches').select('state').execute()
      return rows.filter(({ state }) => state !== 'finalized' && state !== 'failed').length
    },
    async list() {
      const { accountOf } = solana.payer(token)
      const listings = owners.map(({ wallet }) => ({ wallet, account: accountOf(wallet) }))
      await store.db.transaction().execute((trx) => list(trx, listings, lab.clock.now()))
    },
    async backup() {
      const file = join(lab.folder, `backup-${++files}.db`)
      await sql`vacuum into ${sql.lit(file)}`.execute(store.db)
      return file
    },
    async restore(file) {
      await store.close()
      const copy = join(lab.folder, `restored-${++files}.db`)
      copyFileSync(file, copy)
      store = await openDatabase(copy)
      await postCredits(credits)
    },
    close: () => store.close(),
  }
}

export interface Verdict {
  readonly overpaid: number
  readonly underpaid: number
  readonly stuck: number
  readonly crashes: number
}

/** Compares wallets and ledger with what was owed, once nothing is open any more. */
export async function verdictOf(world: World, crashes: number, ended: boolean): Promise<Verdict> {
  const ledger = await world.ledger()
  const balances = await Promise.all(
    ledger.map(async ({ id, owed, paid }) => ({ owed, paid, onChain: await world.heldBy(id) })),
  )
  return {
    overpaid: balances.filter(({ onChain, owed }) => onChain > owed).length,
    underpaid: balances.filter(({ onChain, paid, owed }) => onChain < owed || paid !== owed).length,
    stuck: ended ? 0 : 1,
    crashes,
  }
}
