// A small world for the payout engine: real database, real chain, seeded faults, and a death that can strike between any
// two statements or RPC calls. What is asserted in the end is what the wallets hold on the chain.
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { Keypair } from '@solana/web3.js'
import { type KyselyPlugin, sql } from 'kysely'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf, post } from '../../console/rewards/ledger.ts'
import { encodeBase58 } from '../../console/settlement/base58.ts'
import type { ChainKey } from '../../console/settlement/keys.ts'
import type { PayoutChain } from '../../console/settlement/payer.ts'
import { createPayouts, type PayoutSettings, type Payouts } from '../../console/settlement/payouts.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { list } from '../../console/settlement/tables/shelf.ts'
import type { TableTerms } from '../../console/settlement/tables/worth.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'
import { type Lab, silent, type Wire } from './lab.ts'

export class CrashSignal extends Error {}

export const createRandom = (seed: number): (() => number) => {
  let state = seed >>> 0
  // mulberry32
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** One process: dies at its k-th step (or never), and once dead takes no further step. */
export interface Life {
  step(): void
  readonly steps: number
}
export const createLife = (dieAt = Number.POSITIVE_INFINITY): Life => {
  let steps = 0
  let dead = false
  return {
    step() {
      if (dead || ++steps >= dieAt) {
        dead = true
        throw new CrashSignal('the process was killed here')
      }
    },
    get steps() {
      return steps
    },
  }
}

/** Probabilities per RPC call. */
export interface Faults {
  /** The request never arrives. */
  readonly drop: number
  /** The request arrives and works, the answer does not come back. */
  readonly mute: number
  /** Per transaction: whatever is sent of it lands only at one moment of the next 80 s, before or after it has expired. */
  readonly late: number
  /** sendTransaction: answered, then thrown away. */
  readonly lost: number
  /** The node falls minutes behind, for up to three minutes: it says so, and knows neither signatures nor markers. */
  readonly lagging: number
  /** getSignatureStatuses: what is not final yet is unknown, or only processed; what has not landed was seen on a fork. */
  readonly forked: number
  /** The node claims to be up to date and answers null for every signature, for up to ten minutes; often also for accounts. */
  readonly blind: number
  /** The call takes up to a minute, in which the world goes on. */
  readonly slow: number
}
export const NO_FAULTS: Faults = { drop: 0, mute: 0, late: 0, lost: 0, lagging: 0, forked: 0, blind: 0, slow: 0 }

export interface Network {
  readonly wire: Wire
  /** Delivers what was held back and is due. */
  deliver(): void
  /** Without faults until told otherwise. */
  calm(isCalm: boolean): void
}

type Status = { confirmationStatus: string } | null
interface ContextAnswer {
  result?: { context: { slot: number }; value: unknown[] }
}
interface Call {
  readonly id: unknown
  readonly method: string
  readonly params: readonly [unknown, { readonly commitment?: string; readonly minContextSlot?: number }?]
}

const SLOTS_BEHIND = 300
const NOTHING: Readonly<Record<string, unknown>> = { getSignaturesForAddress: [], getTransaction: null }
const signatureOf = (wire: string): string => encodeBase58(Buffer.from(wire, 'base64').subarray(1, 65))
const answerOf = (id: unknown, body: object): string => JSON.stringify({ jsonrpc: '2.0', id, ...body })

const PAUSE_MS = 120_000

/** Something that holds for a while, and then does not for at least as long as a batch takes. */
function createSpell(longestMs: number) {
  let until = 0
  return {
    holds: (now: number): boolean => now < until,
    begin(now: number, share: number): boolean {
      if (now < until + PAUSE_MS) return false
      until = now + share * longestMs
      return true
    },
  }
}

export function createNetwork(lab: Lab, faults: Faults, random: () => number): Network {
  const held: { at: number; signature: string; run: () => void }[] = []
  let isCalm = false
  const strikes = (probability: number): boolean => !isCalm && probability > 0 && random() < probability
  const unanswered = (): never => {
    throw new TypeError('fetch failed')
  }

  const dues = new Map<string, number>()
  const dueOf = (wire: string): number => {
    const due = dues.get(wire) ?? (strikes(faults.late) ? lab.clock.now() + random() * 80_000 : 0)
    dues.set(wire, due)
    return due
  }

  let hidesAccounts = false
  const behind = createSpell(180_000)
  const blind = createSpell(600_000)
  const isBehind = (): boolean => behind.holds(lab.clock.now())
  const isBlind = (): boolean => blind.holds(lab.clock.now())

  /** A block on another branch: what has not landed here may have been seen there. */
  const forkedStatus = (status: Status, signature: string): Status => {
    if (status?.confirmationStatus === 'finalized') return status
    if (status === null && !held.some((one) => one.signature === signature)) return null
    if (random() < 0.5) return null
    const seen = { slot: lab.chain.clock.slot(), confirmations: 0, err: null, status: { Ok: null } }
    return { ...(status ?? seen), confirmationStatus: status === null && random() < 0.3 ? 'confirmed' : 'processed' }
  }

  const statuses = (answer: ContextAnswer, signatures: readonly string[]): void => {
    if (!answer.result) return
    if (isBehind()) answer.result.context.slot -= SLOTS_BEHIND
    if (isBehind() || isBlind()) answer.result.value = signatures.map(() => null)
    else if (strikes(faults.forked))
      answer.result.value = signatures.map((signature, i) => forkedStatus(answer.result?.value[i] as Status, signature))
  }

  /** Markers are asked for at finalized; what pays is asked for at confirmed, and of a node that must know it. */
  const accounts = (answer: ContextAnswer, commitment: string | undefined): void => {
    if (!answer.result || commitment !== 'finalized') return
    if (isBehind()) answer.result.context.slot -= SLOTS_BEHIND
    if (isBehind() || (isBlind() && hidesAccounts)) answer.result.value = answer.result.value.map(() => null)
  }

  const blurred = ({ id, method, params }: Call, text: string): string => {
    if (strikes(faults.lagging)) behind.begin(lab.clock.now(), random())
    if (strikes(faults.blind) && blind.begin(lab.clock.now(), random())) hidesAccounts = random() < 0.5
    if (isBehind() && params[1]?.minContextSlot !== undefined)
      return answerOf(id, { error: { code: -32016, message: 'Minimum context slot has not been reached' } })
    const knowsNothing = isBehind() || (isBlind() && hidesAccounts)
    if (knowsNothing && method in NOTHING) return answerOf(id, { result: NOTHING[method] })
    if (method !== 'getSignatureStatuses' && method !== 'getMultipleAccounts') return text
    const answer = JSON.parse(text) as ContextAnswer
    if (method === 'getMultipleAccounts') accounts(answer, params[1]?.commitment)
    else statuses(answer, params[0] as string[])
    return JSON.stringify(answer)
  }

  const deliver = (): void => {
    for (const one of [...held]) {
      if (one.at > lab.clock.now()) continue
      held.splice(held.indexOf(one), 1)
      one.run()
    }
  }

  /** Undefined when it goes straight through. */
  const sent = ({ id, params }: Call, forward: () => string): string | undefined => {
    const wire = String(params[0])
    const accepted = answerOf(id, { result: '1'.repeat(64) })
    if (strikes(faults.lost)) return strikes(0.5) ? unanswered() : accepted
    const due = dueOf(wire)
    if (due <= lab.clock.now()) return undefined
    held.push({ at: due, signature: signatureOf(wire), run: forward })
    return strikes(0.5) ? unanswered() : accepted
  }

  return {
    async wire(_method, body, forward) {
      const call = JSON.parse(body) as Call
      if (strikes(faults.slow)) {
        lab.clock.advance(random() * 60_000)
        deliver()
      }
      if (strikes(faults.drop)) return unanswered()
      const early = call.method === 'sendTransaction' ? sent(call, forward) : undefined
      if (early !== undefined) return early
      const text = forward()
      if (strikes(faults.mute)) return unanswered()
      return blurred(call, text)
    },
    deliver,
    calm(isNow) {
      isCalm = isNow
    },
  }
}

export interface World {
  readonly store: Store
  readonly owners: readonly { id: string; wallet: string }[]
  readonly moves: string[]
  readonly treasury: ChainKey
  engine(life?: Life, holder?: string, settings?: Partial<PayoutSettings>): Payouts
  chain(life?: Life): PayoutChain
  /** May be replaced by another one. */
  network: Network
  /** More for an owner; remembered outside the database too. */
  credit(owner: string, units: bigint): Promise<void>
  /** What the ledger says of an owner. */
  ledger(): Promise<{ id: string; wallet: string; owed: bigint; paid: bigint; inPayout: bigint; payable: bigint }[]>
  /** What the chain says: base units in the wallet. */
  held(wallet: string): Promise<bigint>
  openBatches(): Promise<number>
  /** Has the accounts of all owners listed in lookup tables, whether that pays or not. */
  list(): Promise<void>
  /** A copy of the database as it is now. */
  backup(): Promise<string>
  /** The database is that of the backup from now on; what owners were credited since is credited again. */
  restore(file: string): Promise<void>
  close(): Promise<void>
}

/** Every statement is a step before it runs and again after. */
const mortal = (life: Life): KyselyPlugin => ({
  transformQuery: ({ node }) => {
    life.step()
    return node
  },
  transformResult: async ({ result }) => {
    life.step()
    return result
  },
})

const around =
  <A extends unknown[], R>(life: Life, call: (...args: A) => Promise<R>) =>
  async (...args: A): Promise<R> => {
    life.step()
    const result = await call(...args)
    life.step()
    return result
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
  const { lab, token, amounts, faults = NO_FAULTS, random = () => 0, paddingBytes = 0 } = options
  let store = await openDatabase(':memory:')
  const owners = amounts.map((_, index) => ({
    id: `owner${index + 1}`,
    wallet: Keypair.generate().publicKey.toBase58(),
  }))
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
    const real = solana.payer(token)
    return {
      ...real,
      finalized: around(life, real.finalized),
      statuses: around(life, real.statuses),
      existing: around(life, real.existing),
      history: around(life, real.history),
      transfer: around(life, real.transfer),
      lifetime: around(life, real.lifetime),
      rehearse: around(life, real.rehearse),
      send: around(life, real.send),
      funds: around(life, real.funds),
      reclaim: around(life, real.reclaim),
      tables: around(life, real.tables),
      tableRents: around(life, real.tableRents),
      sizeOf: (...payment) => real.sizeOf(...payment) + paddingBytes,
      sign(...payment) {
        life.step()
        return real.sign(...payment)
      },
      signTable(...order) {
        life.step()
        return real.signTable(...order)
      },
    }
  }
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
    chain,
    credit,
    engine: (life = createLife(), holder = 'console-1', settings = {}) =>
      createPayouts({
        db: store.db.withPlugin(mortal(life)),
        chain: chain(life),
        holder,
        now: lab.clock.now,
        log: silent,
        moved(id, state) {
          life.step()
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
    held: (wallet) => lab.solana.tokenBalance(token.mint, wallet),
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
    ledger.map(async ({ wallet, owed, paid }) => ({ owed, paid, onChain: await world.held(wallet) })),
  )
  return {
    overpaid: balances.filter(({ onChain, owed }) => onChain > owed).length,
    underpaid: balances.filter(({ onChain, paid, owed }) => onChain < owed || paid !== owed).length,
    stuck: ended ? 0 : 1,
    crashes,
  }
}
