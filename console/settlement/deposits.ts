// The deposit desk: where requesters pay in, what came, and the loop that reads the chain for it. Credits are for what is
// finalized, once each, also after any downtime; moving tokens on into the treasury never touches the ledger.
import { setTimeout as sleepFor } from 'node:timers/promises'
import type { Selectable } from 'kysely'
import type { Database } from '../store/schema.ts'
import { ChainError } from './chain-error.ts'
import type { DepositAddress } from './deposits/deposit-chain.ts'
import { createLook, type LookOptions } from './deposits/look.ts'

export interface DepositsOptions extends LookOptions {
  /** Between two looks at the chain. */
  readonly everyMs: number
  readonly sleep?: (ms: number, options: { signal: AbortSignal }) => Promise<unknown>
}

export type Deposit = Selectable<Database['deposits']>

export interface Deposits {
  /** Made at the first asking; the same for ever. */
  addressOf(requester: string): Promise<DepositAddress>
  /** One look at every address. False when the chain did not answer. */
  turn(): Promise<boolean>
  /**
   * For a database that came from a backup: credits what came to any requester, also to an address that was made since. Answers
   * until when it must wait for the rest. Rejects with ChainError.
   */
  readAll(): Promise<string | undefined>
  /** Credits what came to one requester. Rejects with ChainError. */
  read(requester: string): Promise<void>
  run(signal: AbortSignal): Promise<void>
  list(requester: string, limit: number): Promise<Deposit[]>
  /** Why nothing is credited at the moment (a sentence for people); undefined when all is well. */
  trouble(): string | undefined
}

const MAX_BACK_OFF_MS = 5 * 60_000
export function createDeposits(options: DepositsOptions): Deposits {
  const { db, chain, log, sleep = (ms, { signal }) => sleepFor(ms, undefined, { signal }) } = options
  let trouble: string | undefined

  const look = createLook(options)

  async function turn(): Promise<boolean> {
    try {
      await look.all()
      trouble = look.trouble()
      return true
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      trouble = `deposits wait: ${error.message}`
      log.warn({ err: error }, 'deposits could not be read')
      return false
    }
  }

  async function addressOf(requester: string): Promise<DepositAddress> {
    const { wallet, account } = chain.addressOf(requester)
    await db
      .insertInto('deposit_addresses')
      .values({ requester_id: requester, wallet, account, read_up_to: null, read_at: null })
      .onConflict((conflict) => conflict.column('requester_id').doNothing())
      .execute()
    // As it was told first: with another treasury key the old address still is where money comes.
    return db
      .selectFrom('deposit_addresses')
      .select(['wallet', 'account'])
      .where('requester_id', '=', requester)
      .executeTakeFirstOrThrow()
  }

  return {
    addressOf,
    turn,
    async readAll() {
      for (const { id } of await db.selectFrom('requesters').select('id').execute()) await addressOf(id)
      await look.all()
      return look.isComplete() ? undefined : 'the RPC has told every deposit that it lists'
    },
    read: look.read,
    async run(signal) {
      let failures = 0
      while (!signal.aborted) {
        failures = (await turn()) ? 0 : failures + 1
        const delayMs = Math.min(options.everyMs * 2 ** failures, MAX_BACK_OFF_MS)
        await sleep(delayMs, { signal }).catch(() => undefined)
      }
    },
    list: (requester, limit) =>
      db
        .selectFrom('deposits')
        .selectAll()
        .where('requester_id', '=', requester)
        .orderBy('seen_at', 'desc')
        .orderBy('signature')
        .limit(limit)
        .execute(),
    trouble: () => trouble,
  }
}
