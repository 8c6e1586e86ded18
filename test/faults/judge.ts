// The judge of every fault test: every accepted task answered once, every receipt arrived once. It hears only what came
// over the wire, as a console does.
import { FIRST_PREV, hashOfBatch, type ReceiptBatch } from '../../broker/protocol/receipts.ts'

export interface Evidence {
  /** Task ids that somebody was promised an answer for. */
  readonly accepted: Iterable<string>
  /** Every answer heard, repeats included. */
  readonly answers: readonly { readonly task: string; readonly payload: string }[]
  /** Every receipt batch heard, repeats included. */
  readonly batches: readonly string[]
  readonly verify: (jws: string) => ReceiptBatch
}

/** Errors about one moment: whoever gets one asks again, so it answers nothing. */
const PASSING: ReadonlySet<string> = new Set(['busy', 'unknown-model', 'timeout', 'crashed', 'model-failed'])

interface Read {
  readonly error?: { readonly code: string }
  readonly digest?: string
}

export const isFinal = (payload: string): boolean => {
  const { error } = JSON.parse(payload) as Read
  return error === undefined || !PASSING.has(error.code)
}

/** One sentence for each thing that is not as it must be; empty when all is well. */
export function judge({ accepted, answers, batches, verify }: Evidence): string[] {
  const told = new Map<string, string>()
  const faults: string[] = []
  for (const { task, payload } of answers) {
    if (!isFinal(payload)) continue
    if ((told.get(task) ?? payload) !== payload) faults.push(`${task} was answered twice, differently`)
    told.set(task, payload)
  }
  for (const task of new Set(accepted)) if (!told.has(task)) faults.push(`${task} was never answered`)
  return [
    ...faults,
    ...judgeReceipts(
      told,
      [...new Set(batches)].map((jws) => ({ jws, batch: verify(jws) })),
    ),
  ]
}

function judgeReceipts(
  told: ReadonlyMap<string, string>,
  batches: readonly { readonly jws: string; readonly batch: ReceiptBatch }[],
): string[] {
  const faults: string[] = []
  const items = batches.flatMap(({ batch }) => batch.items)
  const receipts = Map.groupBy(items, ({ task }) => task)
  for (const [task, payload] of told) {
    const { error, digest } = JSON.parse(payload) as Read
    const [item, ...more] = receipts.get(task) ?? []
    if (error === undefined && item === undefined) faults.push(`${task} has no receipt`)
    if (more.length > 0) faults.push(`${task} has ${more.length + 1} receipts`)
    if (item && digest !== undefined && item.output !== digest)
      faults.push(`the receipt of ${task} names another output`)
  }
  for (const task of receipts.keys()) if (!told.has(task)) faults.push(`${task} has a receipt and no answer`)
  for (const [chain, own] of Map.groupBy(batches, ({ batch }) => batch.chain)) faults.push(...judgeChain(chain, own))
  return faults
}

function judgeChain(
  chain: string,
  batches: readonly { readonly jws: string; readonly batch: ReceiptBatch }[],
): string[] {
  const inOrder = batches.toSorted((a, b) => a.batch.seq - b.batch.seq)
  return inOrder.flatMap(({ batch }, index) => {
    const before = inOrder[index - 1]
    if (batch.seq !== index + 1) return [`chain ${chain}: batch ${batch.seq} stands in place ${index + 1}`]
    const prev = before === undefined ? FIRST_PREV : hashOfBatch(before.jws)
    return batch.prev === prev ? [] : [`chain ${chain}: batch ${batch.seq} does not name the one before`]
  })
}
