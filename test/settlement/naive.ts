// The control of the histories: an engine as many a service has it. The same harness must catch it paying twice.
import type { Token } from '../../console/settlement/solana.ts'
import { createRandom } from '../harness/random.ts'
import { type Faults, NO_FAULTS } from './faulty-network.ts'
import { onStage } from './histories.ts'
import type { Lab } from './lab.ts'
import { createWorld, type Verdict, verdictOf } from './payout-world.ts'

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
