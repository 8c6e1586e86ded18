// `bramble requesters …`: who may ask the pool for work, and the money they pay in and take out.
import { randomUUID } from 'node:crypto'
import { defineCommand } from 'citty'
import type { DepositView, RequesterDetail, RequesterView, Withdrawn } from '../routes/requesters.ts'
import { apiOf, command, toConsole } from './command.ts'
import { ConsoleFault } from './console-api.ts'
import { type TokenUnit, tokens, tokenUnit, unitsOf } from './token-amounts.ts'

const id = { type: 'positional', required: true, description: 'Requester id' } as const

const pathOf = (requester: string, rest = ''): string => `/api/requesters/${encodeURIComponent(requester)}${rest}`

function line(requester: RequesterView, unit: TokenUnit): string {
  const { name, budget, reserved, wallet, deposit, allowance } = requester
  return [
    `${requester.id}  ${name}`,
    `  budget ${tokens(budget, unit)}, ${tokens(reserved, unit)} reserved for tasks under way`,
    deposit ? `  pays in at ${deposit.wallet} (token account ${deposit.account})` : undefined,
    wallet === undefined ? undefined : `  withdraws to ${wallet}`,
    allowance
      ? `  allowance on ${allowance.account}: ${allowance.state}, ${tokens(allowance.left, unit)} left`
      : undefined,
  ]
    .filter((text) => text !== undefined)
    .join('\n')
}

const depositLine = ({ at, amount, state, signature, mint }: DepositView, unit: TokenUnit): string =>
  state === 'foreign'
    ? `${at}  ${amount} base units of ${mint} in another token account, not credited  ${signature}`
    : `${at}  ${tokens(amount, unit)}${state === 'dust' ? ' (too small alone: credited with the next)' : ''}  ${signature}`

const add = command(
  'add',
  'A new requester; its API key is printed once.',
  {
    ...toConsole,
    id,
    name: { type: 'string', description: 'Name for people' },
    owner: { type: 'string', description: 'Owner whose boards it may also feed directly' },
  } as const,
  async ({ id: requester, name, owner, ...at }) => {
    const api = await apiOf(at)
    const { body } = await api.ask<{ key: string }>('/api/requesters', {
      method: 'POST',
      json: { id: requester, ...(name && { name }), ...(owner && { owner }) },
    })
    return `${requester} may ask for work with this key, which is not shown again:\n${body.key}`
  },
)

const list = command('list', 'All requesters and their budgets.', { ...toConsole } as const, async (at) => {
  const api = await apiOf(at)
  const unit = await tokenUnit(api)
  const { body } = await api.ask<RequesterView[]>('/api/requesters')
  return body.length === 0 ? 'There are no requesters.' : body.map((one) => line(one, unit)).join('\n')
})

const show = command(
  'show',
  'One requester and what it paid in.',
  { ...toConsole, id } as const,
  async ({ id: requester, ...at }) => {
    const api = await apiOf(at)
    const unit = await tokenUnit(api)
    const { body } = await api.ask<RequesterDetail>(pathOf(requester))
    const deposits = body.deposits.map((one) => depositLine(one, unit))
    return [line(body.requester, unit), ...deposits, ...(body.trouble === undefined ? [] : [body.trouble])].join('\n')
  },
)

const key = command(
  'key',
  'A new API key; the old one ends at once.',
  { ...toConsole, id } as const,
  async ({ id: requester, ...at }) => {
    const { body } = await (await apiOf(at)).ask<{ key: string }>(pathOf(requester, '/key'), { method: 'POST' })
    return body.key
  },
)

const deposit = command(
  'deposit',
  'Where it pays in.',
  { ...toConsole, id } as const,
  async ({ id: requester, ...at }) => {
    const { body } = await (await apiOf(at)).ask<RequesterView>(pathOf(requester, '/deposit'), { method: 'POST' })
    return `Send tokens of this console's mint to ${body.deposit?.wallet}\n(its token account is ${body.deposit?.account}); they are credited once final.`
  },
)

const withdraw = command(
  'withdraw',
  'Takes what is not reserved out of its budget, to its registered wallet.',
  {
    ...toConsole,
    id,
    tokens: { type: 'positional', required: true, description: 'Amount in tokens, e.g. 12.5' },
    'request-id': { type: 'string', description: 'Name of this withdrawal, to ask for the same one again' },
  } as const,
  async ({ id: requester, tokens: amount, 'request-id': named, ...at }) => {
    const api = await apiOf(at)
    const units = unitsOf(amount, await tokenUnit(api))
    if (units === undefined) throw new ConsoleFault('unreadable', `${amount} is not an amount of tokens`)
    const requestId = named ?? randomUUID()
    const asked = { method: 'POST', json: { units: String(units), requestId } } as const
    const { body } = await api.ask<Withdrawn>(pathOf(requester, '/withdraw'), asked).catch((error: unknown) => {
      if (!(error instanceof ConsoleFault) || error.code === 'refused') throw error
      const again = `whether it was withdrawn is not known: ask again with --request-id ${requestId}`
      throw new ConsoleFault(error.code, `${error.message}; ${again}`, error)
    })
    if (body.state === 'failed')
      return `Payout batch ${body.batch} failed and the money is in the budget again: ask under another --request-id.`
    return body.state === 'finalized'
      ? `Paid out in payout batch ${body.batch}.`
      : `On its way in payout batch ${body.batch}.`
  },
)

const allowance = command(
  'allowance',
  'Draws from its own token account (ApproveChecked for the treasury) when the budget is low.',
  {
    ...toConsole,
    id,
    account: { type: 'string', required: true, description: "The requester's token account" },
    below: { type: 'string', required: true, description: 'Draw when the budget is below this many tokens' },
    draw: { type: 'string', required: true, description: 'Tokens to draw at once' },
  } as const,
  async ({ id: requester, account, below, draw, ...at }) => {
    const api = await apiOf(at)
    const unit = await tokenUnit(api)
    const [least, each] = [unitsOf(below, unit), unitsOf(draw, unit)]
    if (least === undefined || each === undefined)
      throw new ConsoleFault('unreadable', 'amounts are in tokens, e.g. 12.5')
    const json = { account, below: String(least), draw: String(each) }
    const { body } = await api.ask<RequesterView>(pathOf(requester, '/allowance'), { method: 'PUT', json })
    return line(body, unit)
  },
)

const stopAllowance = command(
  'stop-allowance',
  'Draws no more. What the account allows on the chain, only its owner can revoke.',
  { ...toConsole, id } as const,
  async ({ id: requester, ...at }) => {
    await (await apiOf(at)).ask(pathOf(requester, '/allowance'), { method: 'DELETE' })
    return `Nothing more is drawn for ${requester}.`
  },
)

export const requestersCommand = defineCommand({
  meta: { name: 'requesters', description: 'Who asks for work, and their money.' },
  subCommands: { add, list, show, key, deposit, withdraw, allowance, 'stop-allowance': stopAllowance },
})
