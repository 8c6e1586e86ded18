// `bramble rewards attribute`: whose it is what the chain paid to an address that a restored database does not know.
import type { AttributionView } from '../routes/lost.ts'
import { apiOf, command, toConsole } from './command.ts'
import { ConsoleFault } from './console-api.ts'

const args = {
  address: { type: 'positional', required: true, description: 'Wallet that the chain paid' },
  owner: { type: 'positional', required: false, description: 'Owner id, requester/ID or publisher/ID' },
  'write-off': { type: 'boolean', description: 'Nobody knows: take it as a loss' },
  ...toConsole,
} as const

export const attributeCommand = command(
  'attribute',
  'After a backup: say whose a wallet is that the chain paid, so that nobody is paid twice.',
  args,
  async ({ address, owner, 'write-off': isLoss = false, ...at }) => {
    if (isLoss === (owner !== undefined)) throw new ConsoleFault('unreadable', 'name either an owner or --write-off')
    const json = isLoss ? { writeOff: true } : { payee: owner }
    const path = `/api/rewards/lost/${encodeURIComponent(address)}`
    const { body } = await (await apiOf(at)).ask<AttributionView>(path, { method: 'POST', json })
    if (isLoss) return `${body.beyond} base units to ${address} are a loss.`
    const rest = body.beyond === '0' ? '' : `; ${body.beyond} more than it was owed`
    return `${address} is ${body.payee}'s: ${body.owed} base units that it was owed are paid${rest}.`
  },
)
