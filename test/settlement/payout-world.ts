// A small world for the payout engine: real database, real chain, seeded faults, and a death that can strike between any
// two statements or RPC calls. What is asserted in the end is what the wallets hold on the chain.
import { Keypair } from '@solana/web3.js'
import type { KyselyPlugin } from 'kysely'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf, post } from '../../console/rewards/ledger.ts'
import type { PayoutChain } from '../../console/settlement/payer.ts'
import { createPayouts, type Payouts } from '../../console/settlement/payouts.ts'
import type { Token } from '../../console/settlement/solana.ts'
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
  /** The node falls minutes behind, for up to three minutes, and knows no signature. */
  readonly lagging: number
  /** getSignatureStatuses: what is not final yet is unknown, or only processed (a fork). */
  readonly forked: number
  /** The call takes up to a minute, in which the world goes on. */
  readonly slow: number
}
export const NO_FAULTS: Faults = { drop: 0, mute: 0, late: 0, lost: 0, lagging: 0, forked: 0, slow: 0 }

export interface Network {
  readonly wire: Wire
  /** Delivers what was held back and is due. */
  deliver(): void
}

interface StatusAnswer {
  result: { context: { slot: number }; value: ({ confirmationStatus: string } | null)[] }
}

export function createNetwork(lab: Lab, faults: Faults, random: () => number): Network {
  const held: { at: number; run: () => void }[] = []
  const strikes = (probability: number): boolean => probability > 0 && random() < probability
  const unanswered = (): never => {
    throw new TypeError('fetch failed')
  }

  const dues = new Map<string, number>()
  const dueOf = (body: string): number => {
    const [wire = ''] = (JSON.parse(body) as { params: string[] }).params
    const due = dues.get(wire) ?? (strikes(faults.late) ? lab.clock.now() + random() * 80_000 : 0)
    dues.set(wire, due)
    return due
  }

  let behindUntil = 0
  const blurred = (text: string): string => {
    const answer = JSON.parse(text) as StatusAnswer
    if (!answer.result) return text
    if (strikes(faults.lagging)) behindUntil = lab.clock.now() + random() * 180_000
    if (lab.clock.now() < behindUntil) {
      answer.result.context.slot -= 300
      answer.result.value = answer.result.value.map(() => null)
    }
    if (strikes(faults.forked))
      answer.result.value = answer.result.value.map((status) => {
        if (status === null || status.confirmationStatus === 'finalized') return status
        return random() < 0.5 ? null : { ...status, confirmationStatus: 'processed', confirmations: 0 }
      })
    return JSON.stringify(answer)
  }

  const deliver = (): void => {
    for (const one of [...held]) {
      if (one.at > lab.clock.now()) continue
      held.splice(held.indexOf(one), 1)
      one.run()
    }
  }

  return {
    async wire(method, body, forward) {
      if (strikes(faults.slow)) {
        lab.clock.advance(random() * 60_000)
        deliver()
      }
      if (strikes(faults.drop)) return unanswered()
      if (method === 'sendTransaction') {
        const accepted = JSON.stringify({ jsonrpc: '2.0', id: 1, result: '1'.repeat(64) })
        if (strikes(faults.lost)) return strikes(0.5) ? unanswered() : accepted
        const due = dueOf(body)
        if (due > lab.clock.now()) {
          held.push({ at: due, run: forward })
          return strikes(0.5) ? unanswered() : accepted
        }
      }
      const text = forward()
      if (strikes(faults.mute)) return unanswered()
      return method === 'getSignatureStatuses' ? blurred(text) : text
    },
    deliver,
  }
}

export interface World {
  readonly store: Store
  readonly owners: readonly { id: string; wallet: string; units: bigint }[]
  readonly moves: string[]
  engine(life?: Life, holder?: string, minimumUnits?: bigint): Payouts
  chain(life?: Life): PayoutChain
  network: Network
  /** What the ledger says of an owner. */
  ledger(): Promise<{ id: string; wallet: string; owed: bigint; paid: bigint; inPayout: bigint; payable: bigint }[]>
  /** What the chain says: base units in the wallet. */
  held(wallet: string): Promise<bigint>
  openPayouts(): Promise<number>
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

export async function createWorld(options: {
  readonly lab: Lab
  readonly token: Token
  readonly amounts: readonly bigint[]
  readonly faults?: Faults
  readonly random?: () => number
}): Promise<World> {
  const { lab, token, amounts, faults = NO_FAULTS, random = () => 0 } = options
  const store = await openDatabase(':memory:')
  const owners = amounts.map((units, index) => ({
    id: `owner${index + 1}`,
    wallet: Keypair.generate().publicKey.toBase58(),
    units,
  }))
  const at = lab.clock.now()
  await store.db.transaction().execute(async (trx) => {
    for (const { id, wallet, units } of owners) {
      await trx.insertInto('owners').values({ id, name: id, wallet, created_at: at }).execute()
      const [from, to] = [accounts.outside, accounts.payable(id)]
      await post(trx, [{ kind: 'deposit', ref: `seed:${id}`, from, to, amount: units, at }])
    }
  })
  const network = createNetwork(lab, faults, random)
  const solana = lab.client(network.wire)
  const moves: string[] = []

  const chain = (life = createLife()): PayoutChain => {
    const real = solana.payer(token)
    return {
      treasury: real.treasury,
      finalized: around(life, real.finalized),
      statuses: around(life, real.statuses),
      lifetime: around(life, real.lifetime),
      send: around(life, real.send),
      funds: around(life, real.funds),
      sign(payment, lifetime) {
        life.step()
        return real.sign(payment, lifetime)
      },
    }
  }

  return {
    store,
    owners,
    moves,
    network,
    chain,
    engine: (life = createLife(), holder = 'console-1', minimumUnits = 1n) =>
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
        settings: { minimumUnits },
        sleep: async (ms) => lab.clock.advance(ms),
      }),
    ledger: () =>
      Promise.all(
        owners.map(async ({ id, wallet, units }) => ({
          id,
          wallet,
          owed: units,
          paid: await balanceOf(store.db, accounts.paid(id)),
          inPayout: await balanceOf(store.db, accounts.inPayout(id)),
          payable: await balanceOf(store.db, accounts.payable(id)),
        })),
      ),
    held: (wallet) => lab.solana.tokenBalance(token.mint, wallet),
    async openPayouts() {
      const rows = await store.db.selectFrom('payouts').select('state').execute()
      return rows.filter(({ state }) => state !== 'finalized' && state !== 'failed').length
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
