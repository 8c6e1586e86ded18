// The stage of the payout tests: one chain and one token for a whole file, a world for each of its tests, and what all of them do there.
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { collectAndReconcile } from '../../console/settlement/collect.ts'
import type { PayoutChain } from '../../console/settlement/payer.ts'
import { createPayouts, type PayoutSettings, type Payouts } from '../../console/settlement/payouts.ts'
import type { Token } from '../../console/settlement/solana.ts'
import { drive, settleAndFinish } from './driving.ts'
import { createLab, type Lab, silent } from './lab.ts'
import { createWorld, SETTINGS, type World } from './payout-world.ts'

export type WorldOptions = Omit<Parameters<typeof createWorld>[0], 'lab' | 'token'>

export interface Stage {
  readonly lab: Lab
  readonly token: Token
  /** The one that was opened last; closed after the test. */
  readonly world: World
  open(options: WorldOptions): Promise<World>
  /** One of so many owners, each of whom is owed a unit more than the one before. */
  openFor(owners: number, options?: Partial<WorldOptions>): Promise<World>
  /** Turns, a second apart. */
  drive(engine: Payouts, turns: number): Promise<void>
  /** Until what is sent at once is final. */
  settleAndFinish(engine: Payouts): Promise<void>
  /** An engine without lookup tables, whose chain is otherwise in this. */
  engineWith(over: Partial<PayoutChain>, settings?: Partial<PayoutSettings>): Payouts
  /** Oldest first. */
  batches(): Promise<Batch[]>
  payouts(): Promise<Payout[]>
  /** Everybody holds what was owed to it, and the ledger says so. */
  expectPaidOnce(): Promise<void>
  /** What the chain and the books say otherwise. */
  differences(): Promise<readonly unknown[]>
}
type Batch = Awaited<ReturnType<typeof batchesOf>>[number]
type Payout = Awaited<ReturnType<typeof payoutsOf>>[number]

const batchesOf = ({ store: { db } }: World) =>
  db.selectFrom('payout_batches').selectAll().orderBy('created_at').orderBy('id').execute()

const payoutsOf = ({ store: { db } }: World) => db.selectFrom('payouts').selectAll().orderBy('id').execute()

/** Set up before the tests of the file that calls this, and taken down after them. */
export function openStage(): Stage {
  let lab: Lab
  let token: Token
  let world: World
  beforeAll(async () => {
    lab = await createLab()
    token = await lab.makeToken()
  })
  afterAll(() => lab.close())
  afterEach(() => world.close())

  async function open(options: WorldOptions): Promise<World> {
    world = await createWorld({ lab, token, ...options })
    return world
  }

  return {
    get lab() {
      return lab
    },
    get token() {
      return token
    },
    get world() {
      return world
    },
    open,
    openFor: (owners, options) =>
      open({ amounts: Array.from({ length: owners }, (_, index) => BigInt(1_000 + index)), ...options }),
    drive: (engine, turns) => drive(lab, engine, turns),
    settleAndFinish: (engine) => settleAndFinish(lab, engine),
    engineWith: (over, settings) =>
      createPayouts({
        db: world.store.db,
        chain: { ...world.chain(), ...over },
        holder: 'console-1',
        now: lab.clock.now,
        log: silent,
        moved: (id, state) => world.moves.push(`${id} ${state}`),
        settings: { ...SETTINGS, ...settings },
      }),
    batches: () => batchesOf(world),
    payouts: () => payoutsOf(world),
    async expectPaidOnce() {
      for (const { wallet, owed, paid } of await world.ledger()) {
        expect(paid).toBe(owed)
        expect(await world.held(wallet)).toBe(owed)
      }
    },
    differences: async () => (await collectAndReconcile(world.store.db, world.chain())).differences,
  }
}
