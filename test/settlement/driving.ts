// Turns of the payout engine, a second apart.
import type { Payouts } from '../../console/settlement/payouts.ts'
import type { Lab } from './lab.ts'

export async function drive(lab: Lab, engine: Payouts, turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) {
    lab.clock.advance(1_000)
    await engine.turn()
  }
}

/** Until what is sent at once is final. */
export async function settleAndFinish(lab: Lab, engine: Payouts): Promise<void> {
  await engine.settleNow()
  await drive(lab, engine, 16)
}
