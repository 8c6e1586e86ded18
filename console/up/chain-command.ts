// `bramble chain …`: the local chain for demonstrations: what is on it, SOL and tokens for a wallet to try things with.
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { defineCommand } from 'citty'
import { z } from 'zod'
import type { TransactionView } from '../routes/chain.ts'
import type { Rewards } from '../routes/shapes.ts'
import { readKeyFile } from '../settlement/keys.ts'
import { createSolana, walletFault } from '../settlement/solana.ts'
import { apiOf, command, toConsole } from './command.ts'
import { ConsoleFault } from './console-api.ts'
import { tokens, unitsOf } from './token-amounts.ts'

const LAMPORTS = { symbol: 'SOL', decimals: 9 } as const
const address = { type: 'positional', required: true, description: 'Address of a wallet' } as const
const Ready = z.object({ chain: z.object({ rpcUrl: z.string() }) })

/** The chain of a running `bramble up`, with its treasury's key: this computer's own, never a public one. */
async function openLocal(at: { data: string }, rewards: Rewards) {
  if (rewards.cluster !== 'local')
    throw new ConsoleFault('refused', `this console pays on ${rewards.cluster}: there is nothing to give away`)
  const folder = resolve(at.data)
  const text = await readFile(join(folder, 'ready.json'), 'utf8').catch(() => '{}')
  const ready = Ready.safeParse(JSON.parse(text))
  if (!ready.success)
    throw new ConsoleFault(
      'no-console',
      `there is no ${folder}/ready.json: name the data folder of \`bramble up\` with --data`,
    )
  const treasury = await readKeyFile(join(folder, 'keys', 'treasury.json'))
  return createSolana({ rpcUrl: ready.data.chain.rpcUrl, treasury, sleep: (ms) => wait(ms) })
}

function checked(wallet: string): string {
  const fault = walletFault(wallet)
  if (fault !== undefined) throw new ConsoleFault('unreadable', `${wallet} cannot be paid: ${fault}`)
  return wallet
}

const status = command(
  'status',
  'Which chain, which token, what the treasury holds.',
  { ...toConsole } as const,
  async (at) => {
    const { cluster, token, treasury } = (await (await apiOf(at)).ask<Rewards>('/api/rewards')).body
    const held = treasury.balance === undefined ? 'the chain does not answer' : tokens(treasury.balance, token)
    const covered = treasury.coverage === undefined ? '' : `, covered ${treasury.coverage.toFixed(2)}×`
    return `${cluster} chain\n  token     ${token.symbol}, ${token.decimals} decimals, mint ${token.mint}\n  treasury  ${treasury.address}\n  holds     ${held}, owes ${tokens(treasury.liabilities, token)}${covered}`
  },
)

const airdrop = command(
  'airdrop',
  'SOL from the faucet of the local chain.',
  { ...toConsole, address, sol: { type: 'positional', required: true, description: 'Amount, e.g. 1.5' } } as const,
  async ({ address: wallet, sol, ...at }) => {
    const { body } = await (await apiOf(at)).ask<Rewards>('/api/rewards')
    const lamports = unitsOf(sol, LAMPORTS)
    if (lamports === undefined) throw new ConsoleFault('unreadable', `${sol} is not an amount of SOL`)
    const solana = await openLocal(at, body)
    const signature = await solana.airdrop(checked(wallet), Number(lamports))
    return `${wallet} holds ${tokens(String(await solana.lamports(wallet)), LAMPORTS)} now (${signature}).`
  },
)

const mint = command(
  'mint',
  'Freshly made tokens of the local chain.',
  { ...toConsole, address, tokens: { type: 'positional', required: true, description: 'Amount, e.g. 100' } } as const,
  async ({ address: wallet, tokens: amount, ...at }) => {
    const { body } = await (await apiOf(at)).ask<Rewards>('/api/rewards')
    const units = unitsOf(amount, body.token)
    if (units === undefined) throw new ConsoleFault('unreadable', `${amount} is not an amount of ${body.token.symbol}`)
    const solana = await openLocal(at, body)
    const signature = await solana.mintTo(body.token, units, checked(wallet))
    return `${tokens(String(units), body.token)} for ${wallet} (${signature}).`
  },
)

const tx = command(
  'tx',
  'One transaction in words.',
  { ...toConsole, signature: { type: 'positional', required: true, description: 'Its signature' } } as const,
  async ({ signature, ...at }) => {
    const { body } = await (await apiOf(at)).ask<TransactionView>(
      `/api/chain/transactions/${encodeURIComponent(signature)}`,
    )
    return [
      `${body.error === undefined ? 'went through' : `failed: ${body.error}`} in slot ${body.slot}${body.at ? ` at ${body.at}` : ''}, ${body.feeLamports} lamports fee`,
      ...body.instructions.map(({ name, text }) => `  ${name}${text === undefined ? '' : `  ${text}`}`),
      ...body.tables.map(
        ({ address: table, accounts }) =>
          `  ${accounts} account${accounts === 1 ? '' : 's'} from lookup table ${table}`,
      ),
      ...body.changes.map(
        ({ owner, units, mint: of }) => `  ${owner}  ${units.startsWith('-') ? '' : '+'}${units} base units of ${of}`,
      ),
    ].join('\n')
  },
)

export const chainCommand = defineCommand({
  meta: { name: 'chain', description: 'The chain that is paid on; gifts on a local one.' },
  subCommands: { status, airdrop, mint, tx },
})
