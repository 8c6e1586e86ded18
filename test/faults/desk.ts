// What the console does with a receipt batch, as far as a board sees it: a batch is taken only after the one before it and
// after every answer in it, and whatever comes is answered with how far it has got.
import type { ReceiptBatch } from '../../broker/protocol/receipts.ts'

export interface Ack {
  readonly chain: string
  readonly upTo: number
}

export interface Desk {
  /** The ack to send; undefined while answers are missing. */
  take(batch: ReceiptBatch): Ack | undefined
  taken(): Ack[]
}

/** `past`: what an earlier desk had taken. */
export function createDesk(answered: ReadonlySet<string>, past: readonly Ack[] = []): Desk {
  const taken = new Map(past.map(({ chain, upTo }) => [chain, upTo]))
  return {
    take({ chain, seq, items }) {
      const upTo = taken.get(chain) ?? 0
      if (seq !== upTo + 1) return { chain, upTo }
      if (!items.every(({ task }) => answered.has(task))) return undefined
      taken.set(chain, seq)
      return { chain, upTo: seq }
    },
    taken: () => [...taken].map(([chain, upTo]) => ({ chain, upTo })),
  }
}
