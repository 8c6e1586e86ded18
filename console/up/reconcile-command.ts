// `bramble rewards reconcile`: the chain against the ledger, as the running console sees both.
import type { ReconciliationView } from '../routes/reconcile.ts'
import { apiOf, command, toConsole } from './command.ts'

export function reconciliationText(found: ReconciliationView): string {
  const { chain, ledger, underWay, incoming, deposits, differences } = found
  const here = deposits.ledger
  const lines = [
    `chain   ${chain.payouts} payout transaction(s), ${chain.units} base units`,
    `ledger  ${ledger.payouts} final batch(es), ${ledger.units} base units; ${underWay} under way`,
    `came in ${incoming} base units`,
    `deposits on the chain ${deposits.chain.count} of ${deposits.chain.units} base units, noted ${here.count} of ${here.units}; ${deposits.waiting} transaction(s) not read yet`,
    ...differences.map(({ kind, detail, signature }) => `${kind}: ${detail}${signature ? ` (${signature})` : ''}`),
  ]
  const verdict = differences.length === 0 ? 'Chain and ledger agree.' : `${differences.length} difference(s).`
  return [...lines, verdict].join('\n')
}

const args = { json: { type: 'boolean', description: 'The whole answer as JSON' }, ...toConsole } as const

export const reconcileCommand = command(
  'reconcile',
  'Compare payouts and deposits on the chain with the ledger; exit code 1 when they differ.',
  args,
  async (given) => {
    const { body } = await (await apiOf(given)).ask<ReconciliationView>('/api/rewards/reconcile')
    if (!body.ok) process.exitCode = 1
    return given.json ? JSON.stringify(body, null, 2) : reconciliationText(body)
  },
)
