// Before anything is signed or sent after a start, the payouts on the chain are compared with those in the database. A
// database that came from a backup knows less than the chain: what it lacks is found by its memo and adopted.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import { adopt } from './adopt.ts'
import { differences, NOTHING_YET, writeMark } from './differences.ts'
import type { WriterLease } from './lease.ts'
import type { ChainTransfer, PayoutChain } from './payer.ts'
import type { Mode } from './round.ts'

export interface GateOptions {
  readonly db: Kysely<Database>
  readonly chain: Pick<PayoutChain, 'treasury' | 'markerOf' | 'finalized' | 'history' | 'transfer'>
  readonly lease: Pick<WriterLease, 'stillHeld'>
  readonly now: () => number
  readonly log: Logger
  readonly moved: (batch: string, state: PayoutState) => void
  /** Whether this signature stands in the database. */
  readonly isKnown: (signature: string) => Promise<boolean>
  /** Lookup tables that the treasury's history names; false when they must be told again. */
  readonly tablesSeen: (addresses: readonly string[]) => Promise<boolean>
  /**
   * Blocks to wait after a start, so that all that a lost database had sent has landed or expired; 0 for a chain that
   * executes at once what it is given.
   */
  readonly quietBlocks: number
}

export interface Gate {
  /** What may be done now, and why not more. One step towards `pay`, if it is not there yet. */
  pass(openBatches: number): Promise<{ readonly mode: Mode; readonly trouble: string | undefined }>
  readonly isOpen: boolean
  /** From now on the next comparison is needed first. */
  close(): void
  /** As close, until this payout is in the database; true when it was awaited already. */
  awaits(signature: string): boolean
}

type Chain = GateOptions['chain']

/** Final transfers never change: with many of them, each turn goes on from what the one before was answered. */
function remembering(chain: Chain): { readonly chain: Chain; forget(): void } {
  const known = new Map<string, ChainTransfer>()
  return {
    chain: {
      ...chain,
      async transfer(signature) {
        const found = known.get(signature) ?? (await chain.transfer(signature))
        if (found !== undefined) known.set(signature, found)
        return found
      },
    },
    forget: () => known.clear(),
  }
}

export function createGate(options: GateOptions): Gate {
  const memory = remembering(options.chain)
  const { chain } = memory
  const { db, lease, now, log, moved, isKnown, tablesSeen, quietBlocks } = options
  const awaited = new Set<string>()
  let isOpen = false
  let firstHeight: number | undefined

  /** Oldest first, each by itself: a crash between two leaves the newest known as the place to go on from. */
  const adoptAll = async (unknown: readonly ChainTransfer[]): Promise<void> => {
    for (const transfer of unknown) {
      const id = await db.transaction().execute(async (trx) => {
        if (!(await lease.stillHeld(trx))) return undefined
        return adopt(trx, transfer, { now: now(), chain })
      })
      // Something was planned meanwhile: it is wound up first.
      if (id === undefined) return
      log.warn({ batch: id, signature: transfer.signature }, 'a payout was found on the chain and not here; adopted')
      moved(id, 'finalized')
    }
  }

  /** Nothing is missing here: neither what the comparison found, nor what was seen otherwise. */
  const isComplete = async (): Promise<boolean> => {
    for (const signature of awaited) {
      if (!(await isKnown(signature))) return false
      awaited.delete(signature)
    }
    return true
  }

  return {
    get isOpen() {
      return isOpen
    },
    close() {
      isOpen = false
    },
    awaits(signature) {
      const isNew = !awaited.has(signature)
      awaited.add(signature)
      isOpen = false
      return !isNew
    },
    async pass(openBatches) {
      if (isOpen) return { mode: 'pay', trouble: undefined }
      const { slot, height } = await chain.finalized()
      firstHeight ??= height
      if (height < firstHeight + quietBlocks)
        return { mode: 'watch', trouble: 'payouts wait: what an earlier console may have sent is given time to land' }
      const { unknown, newest, tables, trouble } = await differences(db, chain, slot)
      if (trouble !== undefined) return { mode: 'watch', trouble }
      for (const { signature } of unknown) awaited.add(signature)
      if (unknown.length === 0) {
        // Payouts do not wait for tables; they are told later, or found again at the next start.
        const isTold = tables.length === 0 || (await tablesSeen(tables))
        isOpen = await isComplete()
        if (isOpen) memory.forget()
        if (isOpen && isTold && newest !== undefined) await writeMark(db, chain.treasury, newest)
        return isOpen ? { mode: 'pay', trouble: undefined } : { mode: 'watch', trouble: NOTHING_YET }
      }
      const wait = `payouts wait: the chain has ${unknown.length} payout(s) that this database does not know; they are taken in`
      if (openBatches > 0) return { mode: 'wind-up', trouble: wait }
      await adoptAll(unknown)
      return { mode: 'watch', trouble: wait }
    },
  }
}
