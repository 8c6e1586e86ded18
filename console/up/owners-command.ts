// `bramble owners …`: owners of boards, and the wallets that payees are paid to.
import { sign } from 'node:crypto'
import { defineCommand } from 'citty'
import type { OwnerView } from '../routes/owners.ts'
import type { WalletChangeView } from '../routes/shapes.ts'
import { encodeBase58 } from '../settlement/base58.ts'
import { privateKeyOf, readKeyFile } from '../settlement/keys.ts'
import { apiOf, command, toConsole } from './command.ts'
import { ConsoleFault } from './console-api.ts'

const add = command(
  'add',
  'A new owner of boards.',
  {
    ...toConsole,
    id: { type: 'positional', required: true, description: 'Owner id' },
    name: { type: 'string', description: 'Name for people' },
  } as const,
  async ({ id, name, ...at }) => {
    await (await apiOf(at)).ask('/api/owners', { method: 'POST', json: { id, ...(name && { name }) } })
    return `${id} owns boards that enrol with a token made for it; name its wallet with: bramble owners wallet ${id} --address ADDRESS`
  },
)

const list = command(
  'list',
  'All owners, their wallets, and changes that wait.',
  { ...toConsole } as const,
  async (at) => {
    const api = await apiOf(at)
    const [{ body: owners }, { body: changes }] = await Promise.all([
      api.ask<OwnerView[]>('/api/owners'),
      api.ask<WalletChangeView[]>('/api/wallets/changes'),
    ])
    return [
      ...owners.map(({ id, name, wallet }) => `${id}  ${name}  ${wallet ?? 'no wallet'}`),
      ...changes.map(
        ({ id, payee, address, effectiveAt }) =>
          `change ${id}: ${payee} will be paid at ${address} from ${effectiveAt}`,
      ),
    ].join('\n')
  },
)

async function signWith(file: string, text: string): Promise<string> {
  const key = await readKeyFile(file)
  return encodeBase58(sign(null, Buffer.from(text), privateKeyOf(key.secretKey.subarray(0, 32))))
}

type Registered = { state: 'registered'; address: string } | { state: 'waiting'; change: WalletChangeView }

const wallet = command(
  'wallet',
  'Registers the wallet that a payee is paid to: without --key or --signature, prints the text to sign.',
  {
    ...toConsole,
    payee: { type: 'positional', required: true, description: 'Owner id, requester/ID, publisher/ID or operator/fees' },
    address: { type: 'string', description: 'Address of the wallet' },
    key: { type: 'string', description: 'Solana CLI key file of the wallet: signs here' },
    'old-key': { type: 'string', description: 'Key file of the present wallet: the change is made at once' },
    signature: { type: 'string', description: 'Signature of the printed text, base58, made elsewhere' },
    'old-signature': { type: 'string', description: "The present wallet's signature of the same text" },
  } as const,
  async (given) => {
    const { payee, key, signature } = given
    const api = await apiOf(given)
    const address = given.address ?? (key === undefined ? undefined : (await readKeyFile(key)).address)
    if (address === undefined && signature === undefined)
      throw new ConsoleFault('unreadable', '--address or --key is needed')
    const text = signature === undefined ? await challenge(payee, address ?? '') : undefined
    if (text !== undefined && key === undefined)
      return `${text}\n\nSign these bytes with ${address} within ten minutes, then: bramble owners wallet ${payee} --signature SIGNATURE`
    const by = signature ?? (await signWith(key ?? '', text ?? ''))
    const oldKey = given['old-key']
    const byOld = given['old-signature'] ?? (oldKey && text ? await signWith(oldKey, text) : undefined)
    const json = { payee, signature: by, ...(byOld !== undefined && { oldSignature: byOld }) }
    const { body } = await api.ask<Registered>('/api/wallets', { method: 'POST', json })
    return body.state === 'registered'
      ? `${payee} is paid at ${body.address}.`
      : `Another wallet is registered and did not sign: ${payee} is paid at ${body.change.address} from ${body.change.effectiveAt} (change ${body.change.id}).`

    async function challenge(who: string, at: string): Promise<string> {
      const asked = await api.ask<{ text: string }>('/api/wallets/challenge', {
        method: 'POST',
        json: { payee: who, address: at },
      })
      return asked.body.text
    }
  },
)

const cancel = command(
  'cancel',
  'Stops a change of wallet that waits.',
  { ...toConsole, change: { type: 'positional', required: true, description: 'Number of the change' } } as const,
  async ({ change, ...at }) => {
    await (await apiOf(at)).ask(`/api/wallets/changes/${encodeURIComponent(change)}`, { method: 'DELETE' })
    return `Change ${change} will not happen.`
  },
)

export const ownersCommand = defineCommand({
  meta: { name: 'owners', description: 'Who owns boards, and where payees are paid.' },
  subCommands: { add, list, wallet, cancel },
})
