// Histories of the payout engine: seeded lives and deaths over a faulty network, played to their end and judged by what the
// wallets hold on the chain. A seed replays exactly.
import type { Token } from '../../console/settlement/solana.ts'
import { createLab, type Lab } from './lab.ts'
import {
  CrashSignal,
  createLife,
  createRandom,
  createWorld,
  type Faults,
  NO_FAULTS,
  type Verdict,
  verdictOf,
  type World,
} from './payout-world.ts'
import { meddle, paidThrough, tablesOnChain } from './table-trouble.ts'

const MAX_TURNS = 3_000
/** Turns after which no crash with an old database is waited for any more. */
const PATIENCE = 150
/** As if a packet held 700 bytes: four payouts in a legacy transaction, nine through a table. */
const PADDING_BYTES = 532
/** An account is frozen so often at most in one history. */
const FREEZES = 3

/** A chain of its own for each history: what happened on it before would move the clock of the next. */
async function onStage<T>(act: (lab: Lab, token: Token) => Promise<T>): Promise<T> {
  const lab = await createLab()
  try {
    return await act(lab, await lab.makeToken())
  } finally {
    lab.close()
  }
}

export interface History {
  readonly seed: number
  readonly amounts: readonly bigint[]
  readonly faults: Faults
  /** The steps after which each life ends; when used up, the last one lives. */
  readonly deaths: readonly number[]
  readonly writers?: number
  /** Crashes after which the database comes back as it was at an earlier moment. */
  readonly restores?: number
  /** Owners earn more in the middle of it, so many times; settled at once, so that there are many small batches. */
  readonly credits?: number
  /** The first so many owners cannot be paid for a while. */
  readonly frozen?: number
  /** Everybody earns again, so many times: then there is more to pay than one legacy transaction holds. */
  readonly paydays?: number
  /** Lookup tables are wanted for all: `there` before the history begins, or made in the midst of it. */
  readonly tables?: 'there' | 'wanted'
  /** Somebody meddles with tables and rows, and tables are wanted again and again. */
  readonly meddled?: boolean
}

interface Living {
  readonly engine: ReturnType<World['engine']>
  readonly holder: string
  readonly life: ReturnType<typeof createLife>
}

export interface Played {
  readonly verdict: Verdict
  readonly steps: number
  readonly turns: number
  readonly restored: number
  /** Transactions through a lookup table that paid. */
  readonly through: number
  /** Tables on the chain that nobody knows of any more: their rent is lost. */
  readonly lostTables: number
}

/** Runs one history to its end; a dead engine is replaced by a new one on the same database, or on an older one. */
export const play = (history: History): Promise<Played> => onStage((lab, token) => playOn(lab, token, history))

/** On a chain that is there already; a seed replays exactly only on a new one. */
export async function playOn(lab: Lab, token: Token, history: History): Promise<Played> {
  const { seed, amounts, faults, deaths, writers = 1, restores = 0, credits = 0, frozen = 0, paydays = 0 } = history
  const random = createRandom(seed)
  // With a database that may come back old, an engine must let what the lost one sent land or expire.
  const settings = { quietBlocks: restores && 200 }
  const paddingBytes = history.tables ? PADDING_BYTES : 0
  const world = await createWorld({ lab, token, amounts, faults, random, settings, paddingBytes })
  if (history.tables === 'there') await prepare(lab, world)
  const ahead = [...deaths]
  let [crashes, restored, credited, freezes, payday] = [0, 0, 0, 0, 0]
  let isFrozen = false
  const backups: { file: string; moves: number }[] = []
  const keep = async (): Promise<void> => {
    backups.push({ file: await world.backup(), moves: world.moves.length })
  }
  const born = (holder: string): Living => {
    const life = createLife(ahead.shift())
    return { life, holder, engine: world.engine(life, holder) }
  }
  const living = Array.from({ length: writers }, (_, index) => born(`console-${index + 1}`))

  /** The database as the crash left it is kept for later, or it comes back as it was at any time before. */
  const forget = async (): Promise<void> => {
    if (restored === restores) return
    const old = backups.filter(({ moves }) => moves + 3 < world.moves.length)
    const chosen = old[Math.floor(random() * old.length)]
    if (chosen !== undefined && random() < 0.7) {
      await world.restore(chosen.file)
      restored++
    } else await keep()
  }

  const reborn = async (index: number): Promise<void> => {
    crashes++
    // Back at once, or after a blockhash has expired.
    if (random() < 0.5) lab.clock.advance(random() * 200_000)
    await forget()
    living[index] = born(living[index]?.holder ?? '')
  }

  const survive = async (index: number, act: 'settleNow' | 'turn' | 'tend' | 'tidy'): Promise<void> => {
    const one = living[index]
    if (!one) return
    try {
      await one.engine[act]()
    } catch (error) {
      if (!(error instanceof CrashSignal)) throw error
      await reborn(index)
    }
  }

  const freeze = (isNow: boolean): void => {
    for (const { wallet } of world.owners.slice(0, frozen)) lab.freeze(token, wallet, isNow)
    isFrozen = isNow
    freezes += isNow ? 1 : 0
  }

  /** What the world does beside the consoles. */
  const goOn = async (): Promise<void> => {
    if (isFrozen ? random() < 0.06 : freezes > 0 && freezes < FREEZES && random() < 0.05) freeze(!isFrozen)
    if (credited < credits && random() < 0.06) {
      credited++
      const owner = `owner${1 + Math.floor(random() * amounts.length)}`
      await world.credit(owner, BigInt(1 + Math.floor(random() * 10 ** 6)))
    }
    if (payday < paydays && random() < 0.04) {
      payday++
      for (const { id } of world.owners) await world.credit(id, BigInt(1 + Math.floor(random() * 10 ** 6)))
    }
    if (history.meddled && random() < 0.3) await world.list()
    if (history.meddled && random() < 0.01) await meddle(lab, world, random)
    if (restored < restores && random() < 0.08) await keep()
    // Killed between two turns, as by a power cut.
    if (restored < restores && random() < 0.03) await reborn(0)
    lab.clock.advance(300 + random() * 6_000)
    world.network.deliver()
  }

  if (frozen > 0) freeze(true)
  let [ended, turns] = [false, 0]
  for (; turns < MAX_TURNS && !ended; turns++) {
    const isEager = random() < (credits > 0 ? 0.3 : 0.02) || (await world.openBatches()) === 0
    // "Settle now" again and again: after a crash nobody knows whether the first one worked.
    const act = isEager ? 'settleNow' : random() < 0.02 ? 'tidy' : 'turn'
    await Promise.all(living.map((_, index) => survive(index, act)))
    if (history.meddled && random() < 0.5) await Promise.all(living.map((_, index) => survive(index, 'tend')))
    await goOn()
    ended =
      credited === credits && payday === paydays && (restored === restores || turns > PATIENCE) && (await isDone(world))
  }
  const steps = Math.max(...living.map((one) => one.life.steps))
  const verdict = await verdictOf(world, crashes, ended)
  // A database that came back at the very end is still to be compared with the chain.
  for (let more = 0; more < (restores && 100); more++) {
    lab.clock.advance(3_000)
    await survive(0, more % 2 === 0 ? 'settleNow' : 'tend')
  }
  const through = await paidThrough(world)
  const known = await world.store.db
    .selectFrom('lookup_tables')
    .select('address')
    .where('state', '!=', 'closed')
    .execute()
  const lost = tablesOnChain(lab, world).filter((address) => !known.some((one) => one.address === address))
  await world.close()
  return { verdict, steps, turns, restored, through, lostTables: lost.length }
}

/** Everybody was paid before, has a token account, and stands in a lookup table; and everybody has earned again. */
async function prepare(lab: Lab, world: World): Promise<void> {
  const engine = world.engine()
  world.network.calm(true)
  await engine.settleNow()
  await world.list()
  const filled = () => world.store.db.selectFrom('lookup_tables').select('id').where('seen', '=', world.owners.length)
  while ((await world.openBatches()) > 0 || !(await filled().executeTakeFirst())) {
    lab.clock.advance(1_000)
    await engine.turn()
    await engine.tend()
  }
  world.network.calm(false)
  for (const { id } of world.owners) await world.credit(id, 1_000n)
  // The engine lives on for a while, says its lease.
  lab.clock.advance(60_000)
}

const isDone = async (world: World): Promise<boolean> =>
  (await world.openBatches()) === 0 &&
  (await world.ledger()).every(({ payable, inPayout }) => payable + inPayout === 0n)

/** What many a service does: sign, send, and when no answer comes, sign again. */
export const playNaively = (seed: number, faults: Faults): Promise<Verdict> =>
  onStage((lab, token) => playNaivelyOn(lab, token, seed, faults))

async function playNaivelyOn(lab: Lab, token: Token, seed: number, faults: Faults): Promise<Verdict> {
  const random = createRandom(seed)
  const world = await createWorld({ lab, token, amounts: [1_000n, 2_000n, 3_000n], faults, random })
  const chain = world.chain()
  const pay = async (id: string, wallet: string, units: bigint): Promise<boolean> => {
    const { without } = await chain.funds([wallet])
    const payment = { id, memo: `naive ${id}`, marker: null, lines: [{ wallet, units }] }
    await chain.send(chain.sign(payment, without, await chain.lifetime()).wire)
    return true
  }
  for (const { id, wallet, owed } of await world.ledger()) {
    for (let tries = 0, done = false; !done && tries < 50; tries++) {
      done = await pay(`${id}-${tries}`, wallet, owed).catch(() => false)
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

export const NAIVE_FAULTS: Faults = { ...NO_FAULTS, mute: 0.1, late: 0.3 }

/** Each kind of trouble by itself, and together. */
const WEATHER: readonly Faults[] = [
  { ...NO_FAULTS, drop: 0.15, mute: 0.15, lost: 0.3 },
  { ...NO_FAULTS, late: 0.7, mute: 0.1, slow: 0.05 },
  { ...NO_FAULTS, lagging: 0.02, forked: 0.8, late: 0.8, mute: 0.1 },
  { ...NO_FAULTS, blind: 0.01, late: 0.5, lost: 0.2, mute: 0.05 },
  { ...NO_FAULTS, lost: 0.9 },
  { drop: 0.1, mute: 0.1, late: 0.3, lost: 0.3, lagging: 0.05, forked: 0.2, blind: 0, slow: 0.05 },
  { drop: 0.1, mute: 0.1, late: 0.3, lost: 0.3, lagging: 0.05, forked: 0.2, blind: 0.005, slow: 0.05 },
]

/** The history of a seed: how many owners, consoles, deaths and backups, and the weather. */
export function historyOf(seed: number): History {
  const random = createRandom(seed * 7_919)
  const below = (limit: number): number => Math.floor(random() * limit)
  const weather = WEATHER[seed % WEATHER.length] ?? NO_FAULTS
  const isListed = seed % 5 < 3
  const owners = seed % 10 === 0 ? 12 + below(12) : isListed ? 4 + below(7) : 1 + below(3)
  const isRestored = seed % 3 === 0
  return {
    seed,
    amounts: Array.from({ length: owners }, () => BigInt(1 + below(10 ** 9))),
    // A node that denies what the chain holds, and a database that has forgotten it: nobody is left to know.
    faults: isRestored ? { ...weather, blind: 0 } : weather,
    // The engine of a database that may be old waits before it does anything, some 200 steps.
    deaths: Array.from({ length: 3 + below(isRestored ? 8 : 5) }, () => 1 + below(isRestored ? 600 : 110)),
    writers: isRestored ? 1 : 1 + (seed % 2),
    restores: isRestored ? 1 + below(3) : 0,
    credits: below(isRestored ? 8 : 5),
    frozen: seed % (isRestored ? 2 : 4) === 0 ? 1 : 0,
    ...(isListed && {
      tables: seed % 2 === 0 ? ('there' as const) : ('wanted' as const),
      meddled: true,
      paydays: 1 + below(3),
    }),
  }
}
