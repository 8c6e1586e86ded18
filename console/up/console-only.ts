// `bramble console`: the control plane of a real fleet, with its boards, and usually its broker, elsewhere.
import type { Config } from '../config.ts'
import { startConsole } from '../start/console.ts'
import type { Surroundings } from '../start/surroundings.ts'

const OPERATOR = 'operator'

/** Answers what to print. The first owner is made here, because a board cannot enrol for nobody. */
export async function consoleOnly(config: Config, surroundings: Surroundings): Promise<string> {
  const { url, broker, keys, store, money } = await startConsole({ config, supply: 0n }, surroundings)
  await store.db
    .insertInto('owners')
    .values({ id: OPERATOR, name: 'Operator', created_at: surroundings.now() })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
  if (config.wallet !== undefined) await money.funding.registration.name(OPERATOR, config.wallet)
  return `\n  The console is at ${url}/#token=${keys.token}\n  It works through the broker at ${broker.url}.\n`
}
