// The stage of the tests of lookup tables: many owners, and engines that also tend their tables.
import { expect } from 'vitest'
import { collectAndReconcile } from '../../console/settlement/collect.ts'
import type { Payouts } from '../../console/settlement/payouts.ts'
import type { Wire } from './lab.ts'
import { openStage, type WorldOptions } from './stage.ts'

/** More than one transaction holds even through a table. */
export const OWNERS = 50

export function openTableStage() {
  const stage = openStage()
  const rows = () => stage.world.store.db.selectFrom('lookup_tables').selectAll().orderBy('id').execute()
  const drive = async (engine: Payouts, turns: number): Promise<void> => {
    for (let turn = 0; turn < turns; turn++) {
      stage.lab.clock.advance(1_000)
      await engine.turn()
      await engine.tend()
    }
  }
  const payAgain = async (units: bigint): Promise<void> => {
    for (const { id } of stage.world.owners) await stage.world.credit(id, units)
  }
  return {
    stage,
    rows,
    drive,
    payAgain,
    attemptsOf: (ids: readonly string[]) =>
      stage.world.store.db
        .selectFrom('payout_attempts')
        .selectAll()
        .where('batch_id', 'in', ids)
        .orderBy('batch_id')
        .execute(),
    async expectAllPaid(): Promise<void> {
      expect(await stage.world.openBatches()).toBe(0)
      await stage.expectPaidOnce()
      expect(await collectAndReconcile(stage.world.store.db, stage.world.chain())).toMatchObject({ ok: true })
    },
    /** Everybody was paid, stands in a table, and has earned again. */
    async begin(options: Partial<WorldOptions> = {}): Promise<Payouts> {
      const amounts = Array.from({ length: OWNERS }, (_, index) => BigInt(1_000 + index))
      await stage.open({ amounts, ...options })
      const engine = stage.world.engine()
      await engine.settleNow()
      await drive(engine, 20)
      await stage.world.list()
      await drive(engine, 40)
      expect(await rows()).toMatchObject([{ state: 'growing', seen: OWNERS, sent: OWNERS }])
      await payAgain(7n)
      return engine
    },
    /** From now on the network is this. */
    through(wire: Wire): void {
      stage.world.network = { ...stage.world.network, wire }
    },
    tableAddress: async (): Promise<string> => (await rows())[0]?.address ?? '',
  }
}
