// The try-out of a batch before it is signed: in which form it fits, and what the chain would say to it.
import type { Logger } from 'pino'
import type { OpenBatch } from './book.ts'
import { ChainError } from './chain-error.ts'
import { MAX_TRANSACTION_BYTES, type PayoutChain, type Rehearsal, type Through } from './payer.ts'
import { createSelection } from './tables/table-chain.ts'

export interface Tried {
  readonly batch: OpenBatch
  readonly rehearsal: Rehearsal
  /** The form it is sent in; undefined when it fits into none any more. */
  readonly through: Through | undefined
}

export interface TryOutOptions {
  readonly chain: Pick<PayoutChain, 'rehearse' | 'sizeOf' | 'accountOf'>
  /** What payouts can go through now. Asked only when a batch is too large for a legacy transaction. */
  readonly usableTables: () => Promise<Through>
  /** Wallets whose token account must be made. */
  readonly without: ReadonlySet<string>
  /** The state is that of a node which has seen this slot. */
  readonly slot: number
  readonly log: Logger
  /** By batch: how often in a row nothing was answered to its form through tables. Lives as long as the process. */
  readonly doubts: Map<string, number>
}

/** A node that will not even look at version 0, or at this table, must not hold up a batch; a call gets lost now and then. */
const TRIES = 3

/** Nothing is signed that the chain would refuse, and a batch is given up only when the chain ran past its marker. */
export async function createTryOut(
  { chain, usableTables, without, slot, log, doubts }: TryOutOptions,
  batches: readonly OpenBatch[],
): Promise<(batch: OpenBatch) => Promise<Tried>> {
  const fits = (batch: OpenBatch, through: Through): boolean =>
    chain.sizeOf(batch, without, through) <= MAX_TRANSACTION_BYTES
  const tables = batches.every((batch) => fits(batch, [])) ? [] : await usableTables()
  const selection = createSelection(tables, chain.accountOf)

  const formOf = (batch: OpenBatch): Through | undefined => {
    if (fits(batch, [])) return []
    const through = selection.of(batch.lines)
    return through.length > 0 && fits(batch, through) ? through : undefined
  }

  const rehearsed = async (batch: OpenBatch, through: Through): Promise<Rehearsal> => {
    try {
      const rehearsal = await chain.rehearse(batch, without, slot, through)
      doubts.delete(batch.id)
      return rehearsal
    } catch (error) {
      if (through.length === 0 || !(error instanceof ChainError)) throw error
      const doubt = (doubts.get(batch.id) ?? 0) + 1
      doubts.set(batch.id, doubt)
      if (doubt < TRIES) throw error
      return { outcome: 'no-table', reason: error.message }
    }
  }

  return async (batch) => {
    const through = formOf(batch)
    if (through !== undefined) {
      const rehearsal = await rehearsed(batch, through)
      if (rehearsal.outcome !== 'no-table') return { batch, through, rehearsal }
      log.warn({ batch: batch.id, reason: rehearsal.reason }, 'the chain does not take a lookup table')
    }
    // Its first line alone: that much fits in any form, and the marker comes before it.
    const part = { ...batch, lines: batch.lines.slice(0, 1) }
    return { batch, through: undefined, rehearsal: await chain.rehearse(part, new Set(), slot) }
  }
}
