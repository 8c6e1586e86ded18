// Death at every arrow and between every two statements and RPC calls, with a network that drops, delays and lies by
// omission: nobody is paid twice, nobody is left out, nothing hangs. The naive engine shows that the harness would notice.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Token } from '../../console/settlement/solana.ts'
import { createLab, type Lab } from './lab.ts'
import {
  CrashSignal,
  createLife,
  createRandom,
  createWorld,
  type Faults,
  type Life,
  NO_FAULTS,
  type Verdict,
  verdictOf,
  type World,
} from './payout-world.ts'

let lab: Lab
let token: Token
beforeAll(async () => {
  lab = await createLab()
  token = await lab.makeToken()
})
afterAll(() => lab.close())

const MAX_TURNS = 2_000
/** Seconds on an idle machine; the limit is for a busy one. */
const PATIENCE_MS = 120_000

interface History {
  readonly seed: number
  readonly amounts: readonly bigint[]
  readonly faults: Faults
  /** The steps after which each life ends; when used up, the last one lives. */
  readonly deaths: readonly number[]
  readonly writers?: number
}

/** Runs one history to its end; a dead engine is replaced by a new one on the same database. */
async function play({
  seed,
  amounts,
  faults,
  deaths,
  writers = 1,
}: History): Promise<{ verdict: Verdict; steps: number }> {
  const random = createRandom(seed)
  const world = await createWorld({ lab, token, amounts, faults, random })
  const ahead = [...deaths]
  let crashes = 0
  let life = createLife()
  const born = (holder: string) => {
    life = createLife(ahead.shift())
    return { life, holder, engine: world.engine(life, holder) }
  }
  const living = Array.from({ length: writers }, (_, index) => born(`console-${index + 1}`))
  const survive = async (index: number, act: 'settleNow' | 'turn'): Promise<void> => {
    try {
      await living[index]!.engine[act]()
    } catch (error) {
      if (!(error instanceof CrashSignal)) throw error
      crashes++
      // Back at once, or after a blockhash has expired.
      if (random() < 0.5) lab.clock.advance(random() * 200_000)
      living[index] = born(living[index]!.holder)
    }
  }
  let steps = 0
  let ended = false
  for (let turn = 0; turn < MAX_TURNS && !ended; turn++) {
    const idle = (await world.openPayouts()) === 0
    // "Settle now" again and again: after a crash nobody knows whether the first one worked.
    await Promise.all(living.map((_, index) => survive(index, idle || random() < 0.02 ? 'settleNow' : 'turn')))
    lab.clock.advance(300 + random() * 6_000)
    world.network.deliver()
    ended = await isDone(world)
  }
  steps = Math.max(...living.map((one) => one.life.steps))
  const verdict = await verdictOf(world, crashes, ended)
  await world.close()
  return { verdict, steps }
}

const isDone = async (world: World): Promise<boolean> =>
  (await world.openPayouts()) === 0 &&
  (await world.ledger()).every(({ payable, inPayout }) => payable + inPayout === 0n)

const CLEAN = { overpaid: 0, underpaid: 0, stuck: 0 }

describe('a payout engine that is killed', () => {
  it(
    'at every single step of a settlement pays everybody once',
    async () => {
      const whole = { seed: 1, amounts: [1_000_001n, 2_000_002n], faults: NO_FAULTS }
      const { steps, verdict } = await play({ ...whole, deaths: [] })
      expect(verdict).toEqual({ ...CLEAN, crashes: 0 })
      expect(steps).toBeGreaterThan(60)
      for (let step = 1; step <= steps; step++) {
        const { verdict } = await play({ ...whole, deaths: [step] })
        expect({ step, ...verdict }).toMatchObject({ step, ...CLEAN, crashes: 1 })
      }
    },
    PATIENCE_MS,
  )

  it.each([
    ['a network that loses', 40, { ...NO_FAULTS, drop: 0.15, mute: 0.15, lost: 0.3 }],
    ['a network that delays', 40, { ...NO_FAULTS, late: 0.7, mute: 0.1, slow: 0.05 }],
    ['a node that lags and forks', 50, { ...NO_FAULTS, lagging: 0.02, forked: 0.8, late: 0.8, mute: 0.1 }],
    ['a network that takes next to nothing', 10, { ...NO_FAULTS, lost: 0.985 }],
    ['all of it', 40, { drop: 0.1, mute: 0.1, late: 0.3, lost: 0.3, lagging: 0.05, forked: 0.2, slow: 0.05 }],
  ])(
    'again and again, over %s, pays everybody once',
    async (_name, histories, faults) => {
      const total = { overpaid: 0, underpaid: 0, stuck: 0, crashes: 0 }
      for (let seed = 1; seed <= histories; seed++) {
        const random = createRandom(seed * 7_919)
        const deaths = Array.from({ length: 6 }, () => 1 + Math.floor(random() * 90))
        const amounts = Array.from({ length: 1 + (seed % 3) }, () => BigInt(1 + Math.floor(random() * 10 ** 9)))
        const { verdict } = await play({ seed, amounts, faults, deaths })
        expect({ seed, ...verdict }).toMatchObject({ seed, ...CLEAN })
        total.crashes += verdict.crashes
      }
      // The harness must have bitten.
      expect(total.crashes).toBeGreaterThan(histories * 3)
    },
    PATIENCE_MS,
  )

  it(
    'beside a second console on the same database pays everybody once',
    async () => {
      for (let seed = 1; seed <= 30; seed++) {
        const random = createRandom(seed * 104_729)
        const deaths = Array.from({ length: 4 }, () => 1 + Math.floor(random() * 90))
        const faults = { drop: 0.1, mute: 0.1, late: 0.2, lost: 0.3, lagging: 0.05, forked: 0.1, slow: 0.1 }
        const { verdict } = await play({ seed, amounts: [5n, 7n], faults, deaths, writers: 2 })
        expect({ seed, ...verdict }).toMatchObject({ seed, ...CLEAN })
      }
    },
    PATIENCE_MS,
  )
})

/** What many a service does: sign, send, and when no answer comes, sign again. */
async function playNaively(seed: number, faults: Faults): Promise<Verdict> {
  const random = createRandom(seed)
  const world = await createWorld({ lab, token, amounts: [1_000n, 2_000n, 3_000n], faults, random })
  const life: Life = createLife()
  const chain = world.chain(life)
  for (const { id, wallet, units } of world.owners) {
    for (let tries = 0, done = false; !done && tries < 50; tries++) {
      done = await (async () => {
        const { wire } = chain.sign({ wallet, units, memo: `naive ${id} ${tries}` }, await chain.lifetime())
        await chain.send(wire)
        return true
      })().catch(() => false)
      lab.clock.advance(2_000)
      world.network.deliver()
    }
  }
  for (let i = 0; i < 100; i++) {
    lab.clock.advance(2_000)
    world.network.deliver()
  }
  const verdict = await verdictOf(world, 0, true)
  await world.close()
  return verdict
}

describe('the naive engine that signs again on a time-out', () => {
  it('pays twice under the same network, and the harness sees it', async () => {
    let overpaid = 0
    for (let seed = 1; seed <= 30; seed++)
      overpaid += (await playNaively(seed, { ...NO_FAULTS, mute: 0.1, late: 0.3 })).overpaid
    expect(overpaid).toBeGreaterThan(10)
  })
})
