// Histories of the payout engine: seeded lives and deaths over a faulty network, played to their end and judged by what the
// wallets hold on the chain. A seed replays exactly.
import { checkLedger } from '../../console/rewards/check.ts'
import { collectAndReconcile } from '../../console/settlement/collect.ts'
import { lostShares } from '../../console/settlement/lost.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { createRandom } from '../harness/random.ts'
import { createConsoles } from './consoles.ts'
import { createEvents } from './events.ts'
import type { Faults } from './faulty-network.ts'
import { createLab, type Lab } from './lab.ts'
import { createWorld, type Verdict, verdictOf, type World } from './payout-world.ts'
import { paidThrough, tablesOnChain } from './table-trouble.ts'

const MAX_TURNS = 3_000
/** Turns after which no crash with an old database is waited for any more. */
const PATIENCE = 150
/** As if a packet held 700 bytes: four payouts in a legacy transaction, nine through a table. */
const PADDING_BYTES = 532

/** A chain of its own for each history: what happened on it before would move the clock of the next. */
export async function onStage<T>(act: (lab: Lab, token: Token) => Promise<T>): Promise<T> {
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
  /** Owners change their wallets, so many times. */
  readonly newWallets?: number
  /** The first so many owners register their wallet only in the midst of it. */
  readonly latecomers?: number
  /** Lookup tables are wanted for all: `there` before the history begins, or made in the midst of it. */
  readonly tables?: 'there' | 'wanted'
  /** Somebody meddles with tables and rows, and tables are wanted again and again. */
  readonly meddled?: boolean
}

export interface Played {
  readonly verdict: Verdict
  /** The kinds of all steps of the longest life, in order, until everybody was paid. */
  readonly steps: readonly string[]
  readonly turns: number
  readonly restored: number
  /** Payments whose owner the operator had to name. */
  readonly attributed: number
  /** Transactions through a lookup table that paid. */
  readonly through: number
  /** Tables on the chain that nobody knows of any more: their rent is lost. */
  readonly lostTables: number
  /** What the books or the chain say that should not be, one sentence each. */
  readonly unsound: readonly string[]
}

/** Runs one history to its end; a dead engine is replaced by a new one on the same database, or on an older one. */
export const play = (history: History): Promise<Played> => onStage((lab, token) => playOn(lab, token, history))

/** On a chain that is there already; a seed replays exactly only on a new one. */
export async function playOn(lab: Lab, token: Token, history: History): Promise<Played> {
  const { seed, amounts, faults, restores = 0, credits = 0 } = history
  const random = createRandom(seed)
  // With a database that may come back old, an engine must let what the lost one sent land or expire.
  const settings = { quietBlocks: restores && 200 }
  const paddingBytes = history.tables ? PADDING_BYTES : 0
  const world = await createWorld({ lab, token, amounts, faults, random, settings, paddingBytes })
  // What came to the treasury before is final, so that there is something to compare.
  lab.clock.advance(20_000)
  if (history.tables === 'there') await prepare(lab, world)
  const consoles = createConsoles(lab, world, history, random)
  const events = await createEvents(lab, token, world, history, random)
  let [ended, turns] = [false, 0]
  for (; turns < MAX_TURNS && !ended; turns++) {
    const isEager = random() < (credits > 0 ? 0.3 : 0.02) || (await world.openBatches()) === 0
    // "Settle now" again and again: after a crash nobody knows whether the first one worked.
    await consoles.all(isEager ? 'settleNow' : random() < 0.02 ? 'tidy' : 'turn')
    if (history.meddled && random() < 0.5) await consoles.all('tend')
    await events.happen()
    await consoles.between()
    lab.clock.advance(300 + random() * 6_000)
    world.network.deliver()
    const isLived = events.isOver && (consoles.restored === restores || turns > PATIENCE)
    ended = isLived && (await isDone(world))
  }
  // What comes back at the very end is still to be compared with the chain, and what was sent before may still land.
  consoles.settle()
  const steps = [...consoles.steps]
  let isQuiet = false
  // Where nothing is ever late, nothing is under way.
  const least = restores > 0 ? 100 : faults.late > 0 ? 12 : 2
  for (let more = 0; more < MAX_TURNS && !(isQuiet && more >= least); more++) {
    lab.clock.advance(restores > 0 ? 3_000 : 8_000)
    world.network.deliver()
    // As every hour: a table that was not final when it was looked for is found by the next comparison.
    await consoles.all(more % 20 === 19 ? 'tidy' : more % 2 === 0 ? 'settleNow' : 'tend')
    await events.heal()
    isQuiet = consoles.isCalm && (await isDone(world))
  }
  const { restored, crashes } = consoles
  const { attributed } = events
  const verdict = await verdictOf(world, crashes, ended && isQuiet)
  const found = { unsound: await unsound(lab, token, world), lostTables: await lostTables(lab, world) }
  const through = await paidThrough(world)
  await world.close()
  return { verdict, steps, turns, restored, attributed, through, ...found }
}

/** What the ledger check and the reconciliation with the chain find. */
async function unsound(lab: Lab, token: Token, { store: { db }, treasury }: World): Promise<readonly string[]> {
  const chain = lab.client(async (_method, _body, forward) => forward(), treasury).payer(token)
  const { differences } = await collectAndReconcile(db, chain)
  const { checks } = await checkLedger(db)
  return [
    ...checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`),
    ...differences.map(({ detail }) => detail),
  ]
}

async function lostTables(lab: Lab, world: World): Promise<number> {
  const known = await world.store.db
    .selectFrom('lookup_tables')
    .select('address')
    .where('state', '!=', 'closed')
    .execute()
  return tablesOnChain(lab, world).filter((address) => !known.some((one) => one.address === address)).length
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
  (await lostShares(world.store.db)).length === 0 &&
  (await world.ledger()).every(({ payable, inPayout }) => payable + inPayout === 0n)
