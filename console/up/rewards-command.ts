// `bramble rewards …`: proofs of receipts and their check, statements, and what becomes of receipts in doubt.
import { writeFile } from 'node:fs/promises'
import { defineCommand } from 'citty'
import type { Proof } from '../rewards/proof.ts'
import type { ReceiptView } from '../routes/shapes.ts'
import { attributeCommand } from './attribute-command.ts'
import { apiOf, command, needed, toConsole } from './command.ts'
import { reconcileCommand } from './reconcile-command.ts'
import { ProofError, verifyFile } from './rewards-verify.ts'

const receipt = { type: 'positional', required: true, description: 'Receipt id' } as const
const out = { type: 'string', description: 'File to write it to, instead of standard output' } as const

/** The text itself, or a sentence after it went into a file. */
async function written(file: string | undefined, text: string): Promise<string> {
  if (file === undefined) return text.trimEnd()
  await writeFile(file, text).catch((cause: unknown) => {
    throw new ProofError('unreadable', `${file} cannot be written; choose another with --out`, cause)
  })
  return `Written to ${file}.`
}

const proof = command(
  'proof',
  'Fetch the proof of a receipt: that its board did it, and that the payout named it on the chain.',
  { id: receipt, out, ...toConsole } as const,
  async (args) => {
    const path = `/api/rewards/receipts/${encodeURIComponent(args.id)}/proof`
    const { body } = await (await apiOf(args)).ask<Proof>(path)
    return written(args.out, `${JSON.stringify(body, null, 2)}\n`)
  },
)

const verify = command(
  'verify',
  'Check the proof of a receipt from its file alone: signatures, tree, memo; no console is needed.',
  {
    file: { type: 'positional', required: true, description: 'File written by: bramble rewards proof' },
    treasury: { type: 'string', description: "The operator's address, as you know it from elsewhere" },
    'rpc-url': { type: 'string', description: 'Solana RPC to ask whether the chain has the transaction finalized' },
  } as const,
  async (args) => {
    const { ok, text } = await verifyFile(args.file, { treasury: args.treasury, rpcUrl: args['rpc-url'] })
    if (!ok) process.exitCode = 1
    return text
  },
)

const statementArgs = {
  payee: { type: 'positional', required: true, description: 'Owner id, requester/ID, publisher/ID or operator/fees' },
  from: { type: 'string', description: 'First day or moment, as 2026-11-01 (the beginning)' },
  to: { type: 'string', description: 'Day or moment before which it ends (now)' },
  format: { type: 'string', default: 'csv', description: 'csv or json' },
  out,
  ...toConsole,
} as const
const statement = command('statement', 'Opening balance, lines, closing balance.', statementArgs, async (args) => {
  const { payee, from, to, format } = args
  const query = new URLSearchParams({ format, ...(from !== undefined && { from }), ...(to !== undefined && { to }) })
  const path = `/api/rewards/statements/${encodeURIComponent(payee)}?${query}`
  const { body } = await (await apiOf(args)).ask<string>(path, { answer: 'text' })
  return written(args.out, body)
})

const verdictArgs = {
  id: receipt,
  reason: { type: 'string', description: 'Why; kept with the receipt' },
  ...toConsole,
} as const

const verdict = (name: 'release' | 'forfeit', description: string) =>
  command(name, description, verdictArgs, async (args) => {
    const path = `/api/rewards/receipts/${encodeURIComponent(args.id)}/${name}`
    const json = { reason: needed(args.reason, 'reason') }
    const { body } = await (await apiOf(args)).ask<ReceiptView>(path, { method: 'POST', json })
    return `Receipt ${body.id} of ${body.device.name} is ${body.state} (${body.amount} base units).`
  })

export const rewardsCommand = defineCommand({
  meta: { name: 'rewards', description: 'Proofs, statements, and receipts in doubt.' },
  subCommands: {
    proof,
    verify,
    statement,
    reconcile: reconcileCommand,
    attribute: attributeCommand,
    release: verdict('release', 'Credit a receipt that was held.'),
    forfeit: verdict('forfeit', 'Refuse a receipt that was held: its price goes back to the requester.'),
  },
})
