// Slots, commitments and blockhashes of the local chain, all derived from one clock: nothing here needs to be stored.
import { createHash } from 'node:crypto'
import { encodeBase58 } from '../base58.ts'

export type Commitment = 'processed' | 'confirmed' | 'finalized'

/** A transaction may land while the block height is at most that of its blockhash plus this (agave MAX_PROCESSING_AGE). */
export const BLOCKHASH_WINDOW = 150
const SLOTS_BEHIND = { processed: 0, confirmed: 1, finalized: 32 } as const satisfies Record<Commitment, number>

export interface SlotClock {
  /** The newest slot that has reached the commitment. Every slot holds a block, so slot and block height are one number. */
  slot(commitment?: Commitment): number
  blockhash(slot: number): string
  /** The slot of a blockhash that is still within the window; undefined when it is too old or of another chain. */
  slotOf(blockhash: string): number | undefined
  /** Seconds since 1970, for the Clock sysvar and block times. */
  unixTime(): number
}

export function createSlotClock(options: {
  readonly genesis: Uint8Array
  readonly startedAtMs: number
  readonly slotMs: number
  /** The last slot that was written to disk: slots never go back, whatever the machine's clock does. */
  readonly lastSlot: number
  readonly now: () => number
}): SlotClock {
  const { genesis, startedAtMs, slotMs, now } = options
  let highest = options.lastSlot
  const recent = new Map<string, number>()
  let remembered = -1

  const blockhash = (slot: number): string => {
    const height = Buffer.alloc(8)
    height.writeBigUInt64LE(BigInt(slot))
    return encodeBase58(createHash('sha256').update(genesis).update(height).digest())
  }

  const current = (): number => {
    highest = Math.max(highest, Math.floor((now() - startedAtMs) / slotMs), 0)
    return highest
  }

  const remember = (slot: number): void => {
    const oldest = Math.max(slot - BLOCKHASH_WINDOW, 0)
    for (let s = Math.max(remembered + 1, oldest); s <= slot; s++) recent.set(blockhash(s), s)
    for (const [hash, s] of recent) {
      if (s >= oldest) break
      recent.delete(hash)
    }
    remembered = slot
  }

  return {
    slot: (commitment = 'processed') => Math.max(current() - SLOTS_BEHIND[commitment], 0),
    blockhash,
    slotOf(hash) {
      remember(current())
      return recent.get(hash)
    },
    unixTime: () => Math.floor(now() / 1000),
  }
}

export function commitmentOf(slot: number, now: number): Commitment {
  const behind = now - slot
  if (behind >= SLOTS_BEHIND.finalized) return 'finalized'
  return behind >= SLOTS_BEHIND.confirmed ? 'confirmed' : 'processed'
}

const RANK = { processed: 0, confirmed: 1, finalized: 2 } as const satisfies Record<Commitment, number>
export const reaches = (has: Commitment, wanted: Commitment): boolean => RANK[has] >= RANK[wanted]
