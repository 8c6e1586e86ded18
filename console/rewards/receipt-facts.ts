// What an epoch commits to of each receipt that it made payable: one leaf of its tree. Whoever holds these facts can make the
// same bytes of them, so the form is fixed: JSON with its keys in order and no white space (RFC 8785).
import { z } from 'zod'
import { ReceiptItem } from '../../broker/protocol/receipts.ts'
import { leafHash } from './merkle.ts'

export const ReceiptFacts = z.strictObject({
  /** Base units credited to the owner, after fee and royalty. */
  amount: z.string().regex(/^[1-9]\d*$/),
  at: ReceiptItem.shape.at,
  chain: z.string(),
  device: z.string(),
  id: z.int().positive(),
  /** Place within the batch. */
  idx: z.int().nonnegative(),
  input: ReceiptItem.shape.input,
  model: ReceiptItem.shape.model,
  ms: ReceiptItem.shape.ms,
  output: ReceiptItem.shape.output,
  owner: z.string(),
  seq: z.int().positive(),
  task: ReceiptItem.shape.task,
})
export type ReceiptFacts = z.infer<typeof ReceiptFacts>

/** The columns of `receipts` that the facts are made of. */
export const FACT_COLUMNS = [
  'id',
  'device_id',
  'chain',
  'seq',
  'idx',
  'task_id',
  'model_digest',
  'input_sha256',
  'output_digest',
  'at',
  'infer_ms',
  'owner_id',
  'amount_units',
] as const

interface FactRow {
  readonly id: number
  readonly device_id: string
  readonly chain: string
  readonly seq: number
  readonly idx: number
  readonly task_id: string
  readonly model_digest: string
  readonly input_sha256: string
  readonly output_digest: string
  readonly at: number
  readonly infer_ms: number
  readonly owner_id: string
  readonly amount_units: bigint
}

export const factsOf = (row: FactRow): ReceiptFacts => ({
  amount: String(row.amount_units),
  at: row.at,
  chain: row.chain,
  device: row.device_id,
  id: row.id,
  idx: row.idx,
  input: row.input_sha256,
  model: row.model_digest,
  ms: row.infer_ms,
  output: row.output_digest,
  owner: row.owner_id,
  seq: row.seq,
  task: row.task_id,
})

/** What is hashed does not depend on the order in which somebody wrote the facts down. */
export function leafOf(facts: ReceiptFacts): Uint8Array {
  const { amount, at, chain, device, id, idx, input, model, ms, output, owner, seq, task } = facts
  return leafHash(JSON.stringify({ amount, at, chain, device, id, idx, input, model, ms, output, owner, seq, task }))
}
