// Turns a verified batch into receipt rows and transfers: what each item is worth, and to whom.
import type { Kysely } from 'kysely'
import { z } from 'zod'
import type { ReceiptBatch, ReceiptItem } from '../../broker/protocol/receipts.ts'
import type { Database } from '../store/schema.ts'
import { accounts } from './accounts.ts'
import { type Judgement, judge } from './judge.ts'
import type { Transfer } from './ledger.ts'
import { type Shares, type Split, split } from './split.ts'

export interface CreditSettings extends Shares {
  /** How long what was earned stays pending: time in which an answer may still be doubted. */
  readonly holdMs: number
}

/** How many items of a batch ended how, and what the owner earned by them. */
export interface Credit {
  readonly owner: string
  readonly credited: number
  readonly held: number
  readonly rejected: number
  readonly amount: bigint
}

interface Crediting {
  readonly batch: ReceiptBatch
  readonly now: number
  readonly modelDigest: (model: string) => string | undefined
  readonly settings: CreditSettings
}

type Decided = Exclude<Judgement, { state: 'waits' }>

interface Verdict {
  readonly item: ReceiptItem
  readonly judgement: Decided
  readonly task: TaskRow | undefined
  readonly parts: Split
}

const NOTHING: Split = { owner: 0n, fee: 0n, royalty: 0n }

async function tasksOf(trx: Kysely<Database>, items: readonly ReceiptItem[]) {
  const rows = await trx
    .selectFrom('tasks')
    .leftJoin('prices', 'prices.model', 'tasks.model')
    .select(['id', 'requester_id', 'tasks.model', 'state', 'device_id', 'input_sha256', 'output_digest', 'result'])
    .select(['tasks.price_units', 'settled_at', 'publisher'])
    .where(
      'id',
      'in',
      items.map((item) => item.task),
    )
    .execute()
  return new Map(rows.map((row) => [row.id, row]))
}
type TaskRow = NonNullable<ReturnType<Awaited<ReturnType<typeof tasksOf>>['get']>>

async function claimedTasks(trx: Kysely<Database>, items: readonly ReceiptItem[]): Promise<Set<string>> {
  const rows = await trx
    .selectFrom('receipts')
    .select('task_id')
    .where(
      'task_id',
      'in',
      items.map((item) => item.task),
    )
    .where('state', 'in', ['credited', 'held'])
    .execute()
  return new Set(rows.map((row) => row.task_id))
}

const AnsweredBy = z.object({ model: z.string() })

/** `id@version` of the model that answered, as the accepted result says. */
const modelOf = (row: TaskRow): string =>
  row.result === null ? row.model : AnsweredBy.parse(JSON.parse(row.result)).model

function judgeAll(
  { batch, modelDigest, settings }: Crediting,
  tasks: ReadonlyMap<string, TaskRow>,
  claimed: Set<string>,
): Verdict[] | 'waits' {
  const verdicts: Verdict[] = []
  for (const item of batch.items) {
    const task = tasks.get(item.task)
    const known = task && {
      state: task.state,
      device: task.device_id ?? undefined,
      input: task.input_sha256,
      output: task.output_digest ?? undefined,
      model: modelDigest(modelOf(task)),
      isFree: task.price_units === 0n,
      isReleased: task.price_units > 0n && task.settled_at !== null,
      isClaimed: claimed.has(item.task),
    }
    const judgement = judge(item, batch.device, known)
    if (judgement.state === 'waits') return 'waits'
    const isPaid = task !== undefined && judgement.state !== 'rejected'
    // Without a publisher there is nobody to take the royalty: the owner keeps it.
    const shares = { feeBps: settings.feeBps, royaltyBps: task?.publisher == null ? 0 : settings.royaltyBps }
    verdicts.push({ item, judgement, task, parts: isPaid ? split(task.price_units, shares) : NOTHING })
    if (isPaid) claimed.add(item.task)
  }
  return verdicts
}

function transfersFor(verdict: Verdict, owner: string, now: number): Transfer[] {
  const { task, judgement, parts } = verdict
  if (!task || judgement.state !== 'credited') return []
  const from = accounts.reserved(task.requester_id)
  const shared = { ref: task.id, from, at: now } as const
  const all: Transfer[] = [
    { ...shared, kind: 'earn', to: accounts.pending(owner), amount: parts.owner },
    { ...shared, kind: 'fee', to: accounts.operatorFees, amount: parts.fee },
    { ...shared, kind: 'royalty', to: accounts.royalty(task.publisher ?? ''), amount: parts.royalty },
  ]
  return all.filter((transfer) => transfer.amount > 0n)
}

async function storeReceipts(
  trx: Kysely<Database>,
  { batch, now, settings }: Crediting,
  verdicts: readonly Verdict[],
  owner: string,
): Promise<void> {
  const rows = verdicts.map(({ item, judgement, parts }, idx) => ({
    device_id: batch.device,
    chain: batch.chain,
    seq: batch.seq,
    idx,
    task_id: item.task,
    model_digest: item.model,
    input_sha256: item.input,
    output_digest: item.output,
    at: item.at,
    infer_ms: item.ms,
    state: judgement.state,
    reason: judgement.reason ?? null,
    amount_units: parts.owner,
    owner_id: owner,
    received_at: now,
    release_at: now + settings.holdMs,
    epoch_id: null,
  }))
  await trx.insertInto('receipts').values(rows).execute()
}

async function settleTasks(trx: Kysely<Database>, verdicts: readonly Verdict[], now: number): Promise<void> {
  const paid = verdicts.flatMap(({ task, judgement }) => (task && judgement.state === 'credited' ? [task.id] : []))
  if (paid.length === 0) return
  await trx.updateTable('tasks').set({ settled_at: now }).where('id', 'in', paid).execute()
}

const countOf = (verdicts: readonly Verdict[], state: Decided['state']): number =>
  verdicts.filter(({ judgement }) => judgement.state === state).length

/** Stores the receipts; the transfers are the caller's to post in the same transaction. */
export async function creditBatch(
  trx: Kysely<Database>,
  crediting: Crediting,
): Promise<{ credit: Credit; transfers: readonly Transfer[] } | 'waits' | 'unknown-device'> {
  const { batch, now } = crediting
  const device = await trx.selectFrom('devices').select('owner_id').where('id', '=', batch.device).executeTakeFirst()
  if (!device) return 'unknown-device'
  const claimed = await claimedTasks(trx, batch.items)
  const verdicts = judgeAll(crediting, await tasksOf(trx, batch.items), claimed)
  if (verdicts === 'waits') return 'waits'
  const owner = device.owner_id
  await storeReceipts(trx, crediting, verdicts, owner)
  await settleTasks(trx, verdicts, now)
  const transfers = verdicts.flatMap((verdict) => transfersFor(verdict, owner, now))
  const amount = transfers.reduce((sum, { kind, amount: part }) => (kind === 'earn' ? sum + part : sum), 0n)
  return {
    credit: {
      owner,
      credited: countOf(verdicts, 'credited'),
      held: countOf(verdicts, 'held'),
      rejected: countOf(verdicts, 'rejected'),
      amount,
    },
    transfers,
  }
}
