// One look at every deposit address: what came is credited, strangers' tokens are noted, what lies there is swept.
import type { Kysely, Selectable } from 'kysely'
import type { Logger } from 'pino'
import type { Database } from '../../store/schema.ts'
import { ChainError } from '../chain-error.ts'
import type { DepositChain } from './deposit-chain.ts'
import { readAccount } from './read.ts'

export interface LookOptions {
  readonly db: Kysely<Database>
  readonly chain: DepositChain
  readonly mint: string
  readonly minimumUnits: bigint
  readonly now: () => number
  /** A budget grew. */
  readonly credited: (requester: string) => void
  readonly log: Logger
}

/** Tokens of other mints are rare, and asked for one address at a time. */
const FOREIGN_EVERY = 20
/** A sweep that got lost is made again after its blockhash has expired. */
const SWEEP_AGAIN_MS = 120_000
/** What a column holds. Tokens of a stranger's mint may be twice as many, and anybody may send them here. */
const MOST_UNITS = 2n ** 63n - 1n
/** A node that lags tells a transaction a moment after it lists it. */
const UNTOLD_LOOKS = 3

export interface Look {
  /** Every address. Rejects with ChainError where the chain does not answer. */
  all(): Promise<void>
  /** Credits what came to one requester. Rejects with ChainError. */
  read(requester: string): Promise<void>
  /** Whether nothing that the chain lists was left untold. */
  isComplete(): boolean
  /** Why deposits of somebody wait (a sentence for people). */
  trouble(): string | undefined
}

export function createLook(options: LookOptions): Look {
  const { db, chain, now, log, credited } = options
  const sweptAt = new Map<string, number>()
  /** By requester: the transaction that the chain lists but does not tell, and in how many looks it did not. */
  const untold = new Map<string, { readonly signature: string; readonly looks: number }>()
  let turns = 0

  const addresses = () => db.selectFrom('deposit_addresses').selectAll().orderBy('requester_id')

  async function readOne({ requester_id: requester, account, read_up_to }: Address): Promise<void> {
    const { count, waitsFor } = await readAccount(options, { requester, account, readUpTo: read_up_to ?? undefined })
    const before = untold.get(requester)
    if (waitsFor === undefined) untold.delete(requester)
    else untold.set(requester, { signature: waitsFor, looks: before?.signature === waitsFor ? before.looks + 1 : 1 })
    if (count === 0) return
    log.info({ requester, count }, 'deposits credited')
    credited(requester)
  }

  async function noteForeign(requester: string, wallet: string): Promise<void> {
    for (const { account, mint, units } of await chain.foreign(wallet)) {
      const [newest] = await chain.arrivals(account, {})
      if (!newest) continue
      const noted = units < MOST_UNITS ? units : MOST_UNITS
      const row = { signature: newest.signature, account, requester_id: requester, mint, amount_units: noted }
      const isNew = await db.transaction().execute((trx) => putForeign(trx, row, now()))
      if (isNew)
        log.warn({ requester, mint, units: units.toString() }, 'tokens that are not credited lie at a deposit address')
    }
  }

  async function sweep({ requester_id: requester, account }: Address, units: bigint): Promise<void> {
    const since = now() - (sweptAt.get(requester) ?? Number.NEGATIVE_INFINITY)
    // An address that was told under another treasury key is out of reach of this one.
    const isOurs = chain.addressOf(requester).account === account
    if (!isOurs || units < options.minimumUnits || units === 0n || since < SWEEP_AGAIN_MS) return
    sweptAt.set(requester, now())
    try {
      await chain.sweep(requester, units)
    } catch (error) {
      // The deposit is credited and safe where it lies: the treasury may lack SOL for the fee.
      if (!(error instanceof ChainError)) throw error
      log.warn({ requester, err: error }, 'a deposit could not be moved into the treasury yet')
    }
  }

  return {
    async all() {
      const all = await addresses().execute()
      for (const address of all) {
        await readOne(address)
        if (turns % FOREIGN_EVERY === 0) await noteForeign(address.requester_id, address.wallet)
      }
      const balances = await chain.balances(all.map(({ account }) => account))
      for (const [index, address] of all.entries()) await sweep(address, balances[index] ?? 0n)
      turns += 1
    },
    async read(requester) {
      const address = await addresses().where('requester_id', '=', requester).executeTakeFirst()
      if (address) await readOne(address)
    },
    isComplete: () => untold.size === 0,
    trouble() {
      for (const [requester, { signature, looks }] of untold)
        if (looks >= UNTOLD_LOOKS)
          return `deposits of ${requester} wait: the RPC lists transaction ${signature} but does not tell it`
      return undefined
    },
  }
}

type Address = Selectable<Database['deposit_addresses']>
type ForeignRow = Pick<
  Selectable<Database['deposits']>,
  'signature' | 'account' | 'requester_id' | 'mint' | 'amount_units'
>

/** One row for each account, with all that lies in it. Answers whether there is news. */
async function putForeign(trx: Kysely<Database>, row: ForeignRow, at: number): Promise<boolean> {
  const { account, signature, amount_units } = row
  const before = await trx.selectFrom('deposits').selectAll().where('account', '=', account).executeTakeFirst()
  if (before?.signature === signature && before.amount_units === amount_units) return false
  await trx.deleteFrom('deposits').where('account', '=', account).where('state', '=', 'foreign').execute()
  await trx
    .insertInto('deposits')
    .values({ ...row, slot: 0, at, state: 'foreign', seen_at: at })
    .execute()
  return true
}
